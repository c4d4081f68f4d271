import Bus
import Event
import EventLog
import Glibc

// Appends events from several tasks for ever and prints the id of each as soon as the log has
// acknowledged it. Arguments: folder, prefix of the ids. It ends by being killed.
let arguments = CommandLine.arguments
guard arguments.count == 3 else { exit(2) }
let prefix = arguments[2]
do {
  let (log, _) = try EventLog.open(folder: arguments[1])
  await withTaskGroup(of: Void.self) { group in
    for task in 0..<8 {
      group.addTask { await appendForEver(log, "\(prefix)-\(task)") }
    }
  }
} catch {
  print("error \(error)")
  exit(1)
}

func appendForEver(_ log: EventLog, _ prefix: String) async {
  var number = 0
  while true {
    number += 1
    let id = "\(prefix)-\(number)"
    let event = Event(
      id: id,
      source: "appender",
      type: "webhook",
      subject: "kill",
      time: Timestamp(nanoseconds: 0),
      data: [UInt8](repeating: 0x61, count: 2000)
    )
    do throws(BusError) { _ = try await log.append([.event(event)]) } catch { exit(1) }
    let line = Array("\(id)\n".utf8)
    // One write a line: lines of several tasks do not mix.
    _ = unsafe write(1, line, line.count)
  }
}
