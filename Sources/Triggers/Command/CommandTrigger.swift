package import Event
import Glibc
import JSON
package import Manifest
package import Plugin
package import Posix

/// `command`: runs a program of this machine, without a shell, exactly once per firing
/// (DESIGN.md, "The command trigger").
package struct CommandTrigger: Trigger {
  package static let kind = "command"
  package static let concurrency = coreCount()
  package static let runsPrograms = true

  private let spec: CommandSpec
  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    CommandSpec.refusal(ofParameter: destination)
  }

  package init(_ spec: CommandSpec, original: CommandSpec?, host: any TriggerHost, _ block: Block) {
    self.spec = spec
    self.host = host
    if let original { spec.check(against: original, block) }
    for variable in spec.environment {
      guard case .secret(let selector) = variable.value else { continue }
      do throws(SecretError) {
        _ = try host.secrets.secret(name: selector.name, key: selector.key)
      } catch { block.error("environment.\(variable.name)", "\(error)") }
    }
  }

  package func fire(_ firing: Firing) async -> Outcome {
    let folder = JobFolder(jobs: host.jobs, firing: firing.id.text, attempt: firing.attempt)
    do throws(SystemError) {
      while true {
        switch try folder.state() {
        case .finished(let result): return try outcome(of: result)
        case .running(let process): await wait(for: process)
        case .absent:
          if let outcome = try await run(firing, folder) { return outcome }
        case .lost(let why):
          guard spec.reruns else { return .unknown(why: why, result: .null) }
          try Files.remove(folder.path)
        }
        if Task.isCancelled { return .retry(after: nil, why: "shutting down", result: .null) }
      }
    } catch {
      return .retry(after: nil, why: "\(error)", result: .null)
    }
  }

  package func forget(_ id: FiringID) {
    let path = host.jobs + "/" + id.text
    do throws(SystemError) { try Files.remove(path) } catch {
      host.log("the folder of a job could not be removed", [("error", "\(error)")])
    }
  }

  /// Removes what earlier runs of the program left in `jobs`, the folders of `unfinished` firings
  /// excepted. Call it before anything is fired.
  package static func clean(
    _ jobs: String,
    keeping unfinished: Set<FiringID>
  ) throws(SystemError) {
    try JobFolder.clean(jobs, keeping: Set(unfinished.map(\.text)))
  }

  /// Runs the job; nil when its folder tells the outcome.
  private func run(_ firing: Firing, _ folder: JobFolder) async throws(SystemError) -> Outcome? {
    let job: Job
    do throws(SecretError) {
      job = Job(
        folder: folder,
        argv: spec.argv,
        workingDirectory: spec.workingDirectory,
        environment: try environment(firing),
        timeout: spec.timeout.wholeNanoseconds
      )
    } catch { return .retry(after: nil, why: "\(error)", result: .null) }
    let started = try Supervisor.start(job, input: input(firing), program: host.program)
    await host.waitForEnd(of: try ProcessHandle(started.process), atMost: nil)
    // Where the wait was cut short by a shutdown there is nothing to reap yet.
    guard Processes.reap(started.process) != nil else { return nil }
    if case .absent = try folder.state() {
      let words = started.complaint()
      return .retry(after: nil, why: "the command was not started: \(words)", result: .null)
    }
    return nil
  }

  private func wait(for process: ProcessID?) async {
    var handle: ProcessHandle?
    if let process { handle = try? ProcessHandle(process) }
    // Nobody tells when a process that cannot be seen ends: its lock is looked at now and then.
    await host.waitForEnd(of: handle, atMost: handle == nil ? .milliseconds(250) : nil)
  }

  /// What the command reads: the payload, or the data of the event. Of several events it is an
  /// object, dependency to data.
  private func input(_ firing: Firing) -> [UInt8] {
    if let payload = firing.payload { return payload }
    if firing.events.count == 1 { return firing.events[0].event.data }
    return JSON.object(
      firing.events.map { dependency, event in
        let text = String(decoding: event.data, as: UTF8.self)
        return .init(key: dependency, value: (try? JSON(parsing: event.data)) ?? .string(text))
      }
    ).encoded()
  }

  private func environment(_ firing: Firing) throws(SecretError) -> [String] {
    var values: [(name: String, value: String)] = []
    for name in ["PATH", "HOME", "LANG", "TZ"] {
      if let value = Processes.environment(name) { values.append((name, value)) }
    }
    if !values.contains(where: { $0.name == "PATH" }) {
      values.append(("PATH", "/usr/local/bin:/usr/bin:/bin"))
    }
    for variable in spec.environment {
      values.removeAll { $0.name == variable.name }
      switch variable.value {
      case .text(let text): values.append((variable.name, text))
      case .secret(let selector):
        let secret = try host.secrets.secret(name: selector.name, key: selector.key).reveal()
        if secret.contains(0) {
          throw SecretError("the secret '\(selector.name)/\(selector.key)' has a NUL")
        }
        values.append((variable.name, String(decoding: secret, as: UTF8.self)))
      }
    }
    values.append(("SIGNALBOX_FIRING_ID", firing.id.text))
    let ids = firing.events.map(\.event.id).joined(separator: " ")
    values.append(("SIGNALBOX_EVENT_IDS", ids.replacing("\0", with: "")))
    return values.map { "\($0.name)=\($0.value)" }
  }

  private func outcome(of result: JobResult) throws(SystemError) -> Outcome {
    var members: [JSON.Member] = []
    switch result.end {
    case .exited(let status): members.append(.init(key: "exitStatus", value: JSON(status)))
    case .signalled(let signal): members.append(.init(key: "signal", value: JSON(signal)))
    case .notStarted(let why):
      return .reject(why: "the command could not be started: \(why)", result: .null)
    }
    members.append(.init(key: "milliseconds", value: JSON(Int(result.duration / 1_000_000))))
    members.append(.init(key: "outputBytes", value: JSON(result.outputBytes)))
    let mask = SecretMask(secrets())
    members.append(
      .init(key: "output", value: .string(lastLines(of: mask.applied(to: result.tail))))
    )
    let details = JSON.object(members)
    if result.isTimedOut {
      let why = "it did not end within \(spec.timeout) and was stopped"
      return .retry(after: nil, why: why, result: details)
    }
    switch result.end {
    case .exited(0): return .done(result: details)
    case .exited(let status):
      return .retry(after: nil, why: "it ended with status \(status)", result: details)
    case .signalled(let signal):
      return .retry(after: nil, why: "it was ended by signal \(signal)", result: details)
    case .notStarted: preconditionFailure("answered above")
    }
  }

  /// The values that the command knows and that must not be stored.
  private func secrets() -> [[UInt8]] {
    spec.environment.flatMap { variable -> [[UInt8]] in
      guard case .secret(let selector) = variable.value else { return [] }
      let live = try? host.secrets.liveSecrets(name: selector.name, key: selector.key)
      return live?.map { $0.reveal() } ?? []
    }
  }

  /// At most 20 lines and 4 KiB of the end.
  private func lastLines(of text: String) -> String {
    var lines: [Substring] = []
    var bytes = 0
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).reversed().prefix(21)
    {
      bytes += line.utf8.count + 1
      if bytes > 4096 { break }
      lines.append(line)
    }
    return lines.reversed().joined(separator: "\n")
  }
}
