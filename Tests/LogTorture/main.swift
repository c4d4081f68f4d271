import EventLog
import Glibc
import TestKit

// Crashes a log again and again and looks each time whether everything that was acknowledged is
// there. Arguments: --points N (default 100000), --seed S (default 1; the first of the seeds).
// Exit status 1 if something was lost or some call of the log was never made to fail.

var points = 100_000
var seed: UInt64 = 1
var arguments = CommandLine.arguments.dropFirst()
while let name = arguments.popFirst() {
  switch (name, arguments.popFirst().flatMap { UInt64($0) }) {
  case ("--points", let number?): points = Int(clamping: number)
  case ("--seed", let number?): seed = number
  default:
    print("usage: log-torture [--points N] [--seed S]")
    exit(2)
  }
}

var total = LogTorture.Result()
let isTerminal = isatty(1) == 1
await withTaskGroup(of: LogTorture.Result.self) { group in
  var next = seed
  func add() {
    let seed = next
    next += 1
    group.addTask {
      var torture = LogTorture(seed: seed)
      return await torture.run()
    }
  }
  for _ in 0..<8 { add() }
  while let result = await group.next() {
    total.add(result)
    if isTerminal && total.points % 3000 == 0 { print("\r\(total.points) crashes", terminator: "") }
    if total.points < points { add() }
  }
}
for failure in total.failures.prefix(50) { print(failure) }
let spared = LogCall.allCases.filter { total.failed[$0] == nil }.map(\.rawValue)
if !spared.isEmpty { print("never made to fail: \(spared.joined(separator: ", "))") }
print(
  "\(total.points) crashes, seeds \(seed) to \(seed + UInt64(total.points / 3) - 1): "
    + "\(total.acknowledged) acknowledged events, \(total.failed.values.reduce(0, +)) calls failed "
    + "at \(total.failed.count) of \(LogCall.allCases.count) places, "
    + "\(total.failures.count) failures"
)
exit(total.failures.isEmpty && spared.isEmpty ? 0 : 1)
