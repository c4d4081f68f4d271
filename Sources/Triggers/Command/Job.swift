import JSON
import Posix

/// What a supervisor is told: in a memory file, because a variable's value may be a secret.
struct Job: Equatable {
  var folder: JobFolder
  var argv: [String]
  var workingDirectory: String?
  /// Entries `NAME=value`; all that the command gets.
  var environment: [String]
  /// Nanoseconds until it is stopped.
  var timeout: Int64

  static func == (a: Job, b: Job) -> Bool { a.encoded() == b.encoded() }

  init(
    folder: JobFolder,
    argv: [String],
    workingDirectory: String?,
    environment: [String],
    timeout: Int64
  ) {
    self.folder = folder
    self.argv = argv
    self.workingDirectory = workingDirectory
    self.environment = environment
    self.timeout = timeout
  }

  func encoded() -> [UInt8] {
    var members: [JSON.Member] = [
      .init(key: "jobs", value: .string(folder.jobs)),
      .init(key: "firing", value: .string(folder.firing)),
      .init(key: "attempt", value: JSON(folder.attempt)),
      .init(key: "argv", value: .array(argv.map { .string($0) })),
      .init(key: "environment", value: .array(environment.map { .string($0) })),
      .init(key: "timeout", value: .number("\(timeout)")),
    ]
    if let workingDirectory {
      members.append(.init(key: "workingDirectory", value: .string(workingDirectory)))
    }
    return JSON.object(members).encoded()
  }

  /// nil for anything that `encoded` did not make.
  init?(_ bytes: [UInt8]) {
    guard let json = try? JSON(parsing: bytes),
      case .string(let jobs)? = json["jobs"], case .string(let firing)? = json["firing"],
      let attempt = json.integer("attempt"), let argv = json.strings("argv"), !argv.isEmpty,
      let environment = json.strings("environment"), let timeout = json.integer("timeout")
    else { return nil }
    folder = JobFolder(jobs: jobs, firing: firing, attempt: attempt)
    self.argv = argv
    self.environment = environment
    self.timeout = Int64(timeout)
    if case .string(let path)? = json["workingDirectory"] { workingDirectory = path }
  }
}
