import Expression
package import HTTPClient
package import Logging
package import Manifest
import Observe
package import Posix

/// One running installation: the log, the engine and the listeners.
package struct Server {
  package struct Configuration: Sendable {
    /// Manifest files and folders.
    package var manifests: [String]
    package var data: String
    package var secrets: String
    /// The numeric address that event sources listen on.
    package var address: String
    package var consoleAddress: String
    package var consolePort: Int
    /// Firings in a chain before it is cut.
    package var hopLimit: Int
    /// Where requests may go when an event chose the target.
    package var allowOutbound: AllowList

    package init(
      manifests: [String],
      data: String,
      secrets: String,
      address: String,
      consoleAddress: String,
      consolePort: Int,
      hopLimit: Int,
      allowOutbound: AllowList
    ) {
      self.manifests = manifests
      self.data = data
      self.secrets = secrets
      self.address = address
      self.consoleAddress = consoleAddress
      self.consolePort = consolePort
      self.hopLimit = hopLimit
      self.allowOutbound = allowOutbound
    }
  }

  /// The manifests have errors; they were reported.
  package struct Refused: Error {}

  /// Reads manifests as `run` would, and starts nothing.
  /// - Parameter program: the path of this program, which checks jq programs.
  package static func validate(
    _ paths: [String],
    secrets: String,
    program: String = "/proc/self/exe"
  ) -> [Diagnostic] {
    let diagnostics = Diagnostics()
    let parts = Parts(
      secrets: FolderSecrets(folder: secrets),
      bus: nil,
      loop: nil,
      http: nil,
      allowOutbound: AllowList(),
      key: nil,
      jobs: "",
      instruments: Instruments(in: Metrics()),
      logger: Logger(label: "signalbox"),
      jq: JQWorkers(program: program, count: 1)
    )
    _ = parts.builder(diagnostics).build(paths)
    return diagnostics.sorted
  }

  /// Runs until `stop` is readable; reads the manifests anew when `reload` is.
  /// - Parameter report: takes what is found in the manifests, and what was started, in words.
  /// - Throws: `Refused`, `LogError`, `SystemError`, `BusError` or `NoteError` when it cannot start.
  package static func run(
    _ configuration: Configuration,
    logger: Logger,
    stop: borrowing FileDescriptor,
    reload: borrowing FileDescriptor,
    report: @escaping @Sendable (String) -> Void
  ) async throws {
    // Before the log: manifests with errors leave no trace.
    let found = validate(configuration.manifests, secrets: configuration.secrets)
    for diagnostic in found { report("\(diagnostic)") }
    if found.contains(where: { $0.severity == .error }) { throw Refused() }
    let installation = try await Installation(configuration, logger, report: report)
    try await installation.start()
    let loop = try EventLoop(name: "requests")
    let (stopping, reloading) = (stop.raw, reload.raw)
    while await loop.readable(of: [stopping, reloading]) != stopping {
      _ = await installation.reload()
    }
    report("shutting down")
    await installation.stop()
    loop.stop()
  }
}
