import Logging
import Posix

/// Runs an installation until something ends it.
struct Service: Sendable {
  let configuration: Server.Configuration
  let logger: Logger
  /// Readable when the program is to stop, and when manifests are to be read anew.
  let stopping: Int32
  let reloading: Int32
  let report: @Sendable (String) -> Void

  enum End: Sendable, Equatable {
    case stopped
    case handedOver
    /// The bus is another process's now.
    case lost
  }

  /// - Parameter lost: rung when the bus can be written to no more.
  /// - Throws: what `Installation` does when it cannot start.
  func run(_ startup: Startup, lost: Bell) async throws -> End {
    let ground = try await Groundwork(configuration, logger, startup)
    let installation: Installation
    do {
      installation = try await Installation(ground, configuration, logger, startup, report: report)
    } catch {
      await ground.abandon()
      throw error
    }
    do { try await installation.start() } catch {
      await installation.stop()
      throw error
    }
    let watch = ManifestWatch(
      paths: configuration.manifests,
      loop: startup.loop,
      bell: startup.changed,
      logger: logger
    )
    let watching =
      configuration.watchesManifests && startup.kubernetes == nil
      ? Task { await watch.run() } : nil
    let bells = [stopping, reloading, startup.changed.raw, startup.handedOver.raw, lost.raw]
    var end: End?
    while end == nil {
      switch await startup.loop.readable(of: bells) {
      case reloading: _ = await installation.reload()
      case startup.changed.raw: await installation.reloadIfChanged()
      case stopping: end = .stopped
      case lost.raw: end = .lost
      default:
        report("another process takes over")
        end = .handedOver
      }
    }
    watching?.cancel()
    await watching?.value
    if end != .lost { report("shutting down") }
    await installation.stop()
    return end ?? .stopped
  }
}

extension Service {
  /// Whether the program is to stop before `wait` is over. Manifests need not be read anew meanwhile.
  func stops(within wait: Duration, on loop: EventLoop) async -> Bool {
    let deadline = MonotonicTime.now() + wait
    while true {
      let left = max(.zero, deadline - MonotonicTime.now())
      let found = await loop.readable(of: [stopping, reloading], within: left)
      if found != reloading { return found == stopping }
    }
  }
}
