import EventLog
import KafkaBus
import Logging
import Manifest
import Posix
import Synchronization

/// Copies the log of the bus into this program's folder while it stands by, and tells how far it is.
final class StandbyLog: Sendable {
  private let service: Service
  private let startup: Startup
  private let state = Mutex<(progress: StandbyCopy.Progress?, failure: String?)>((nil, nil))

  /// Who becomes the owner at once has no need of it.
  private static let delay = Duration.seconds(5)

  init(_ service: Service, _ startup: Startup) { (self.service, self.startup) = (service, startup) }

  /// How far it is, in words.
  var words: String {
    switch state.withLock({ $0 }) {
    case (_, let failure?): "; its log is not copied ahead: \(failure)"
    case (let progress?, nil):
      "; its log is copied up to record \(progress.last), \(progress.behind) messages behind"
    case (nil, nil): ""
    }
  }

  /// Runs `body`, and copies meanwhile. Returns when the folder is free again.
  /// - Throws: `SystemError`; then nothing was run.
  func whileCopying<Result>(
    _ access: KafkaBusAccess,
    _ body: () async -> Result
  ) async throws(SystemError) -> Result {
    let ending = try Bell()
    let copying = Task { await run(access, until: ending) }
    let result = await body()
    ending.ring()
    copying.cancel()
    await copying.value
    state.withLock { $0 = (nil, nil) }
    return result
  }

  private func run(_ access: KafkaBusAccess, until ending: Bell) async {
    var wait = Self.delay
    var backoff = Backoff()
    while await startup.loop.readable(of: [ending.raw], within: wait) == nil {
      do {
        try await copy(access)
        return
      } catch {
        if Task.isCancelled { return }
        let why = access.masked("\(error)")
        let isNew = state.withLock { state in
          defer { state.failure = why }
          return state.failure != why
        }
        if isNew { access.note(.warning, "the log is not copied ahead; trying again: \(error)") }
      }
      wait = backoff.next()
    }
  }

  private func copy(_ access: KafkaBusAccess) async throws {
    var settings = try access.settings()
    // Whoever wins, or is to stop, waits for what is under way.
    settings.patience = .seconds(5)
    var configuration = EventLog.Configuration()
    configuration.hooks.damaged = { [access] in
      access.note(.error, "damage in the log: \($0)")
    }
    configuration.hooks.troubled = { [access] in access.note(.error, "trouble with the log: \($0)")
    }
    configuration.apply(
      await startup.kubernetes?.logSettings() ?? LogSettings.read(service.configuration.manifests)
    )
    let copy = StandbyCopy(
      settings,
      folder: service.configuration.data + "/log",
      configuration,
      loop: access.loop,
      observer: access.observer,
      told: { [self] progress in state.withLock { $0 = (progress, nil) } }
    )
    try await copy.run()
  }
}
