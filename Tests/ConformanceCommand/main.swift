import Vectors
import Expression
import Glibc

// Puts the vector files of a folder to our code:
// `swift run conformance FOLDER [--default-mode] [--only FORMAT]...`
// Exit status: 0 where every case passes but for the deliberate differences, 1 where one does not,
// 2 for wrong usage.

let usage = """
  usage: conformance FOLDER [--default-mode] [--only FORMAT]...
    FOLDER           a folder with vector files, or one file
    --default-mode   what Signalbox answers by default, against the committed table;
                     without it, mode argo-1.9 against the vectors
    --only FORMAT    only files of this format: \(VectorFormat.all.map(\.name).joined(separator: ", "))
  """

func refuse(_ words: String) -> Never {
  let text = Array((words + "\n").utf8)
  _ = unsafe write(2, text, text.count)
  exit(2)
}

var arguments = Array(CommandLine.arguments.dropFirst())
// The workers of jq are this program, started as them.
if arguments == [JQService.argument] {
  JQService.run()
  exit(0)
}
var folder: String?
var mode = CompatibilityMode.argo19
var only: Set<String> = []
while !arguments.isEmpty {
  let argument = arguments.removeFirst()
  switch argument {
  case "--help", "-h":
    print(usage)
    exit(0)
  case "--default-mode": mode = .fixed
  case "--only":
    guard !arguments.isEmpty else { refuse(usage) }
    only.insert(arguments.removeFirst())
  default:
    guard folder == nil, !argument.hasPrefix("-") else { refuse(usage) }
    folder = argument
  }
}
guard let folder else { refuse(usage) }

do {
  let conformance = Conformance(mode: mode, worker: "/proc/self/exe")
  let reports = try conformance.reports(folder, only: only)
  for report in reports { report.write() }
  print(reports.lastLine)
  exit(reports.allSatisfy(\.failures.isEmpty) ? 0 : 1)
} catch {
  refuse("\(folder): \(error)")
}
