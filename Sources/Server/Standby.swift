import HTTP
import Logging
import Observe
import Posix
import Synchronization

/// The console of a process that does not run on the bus yet: alive, and not ready. It is there until
/// the real one is about to listen, however long brokers are away or a log is read.
final class Standby: Sendable {
  private let server: HTTPServer?
  private let hasEnded = Mutex(false)

  private struct Answers: RequestHandler {
    let metrics: Metrics
    /// The name or address it was told to listen on.
    let host: String
    let why: @Sendable () -> String

    func accept(_ head: RequestHead) -> Acceptance {
      if let refusal = ConsoleChecks.refusal(head, host) { return .answer(refusal) }
      switch head.path {
      case "/healthz": return .answer(.text(200, "the loops turn"))
      case "/metrics": return .answer(ConsoleChecks.metrics(metrics.render()))
      default: return .answer(.text(503, why()))
      }
    }
  }

  /// Where sockets were handed to the program, what comes waits in their queues instead.
  /// - Parameter why: what `/readyz` says.
  init(
    _ service: Service,
    _ startup: Startup,
    _ why: @escaping @Sendable () -> String
  ) async {
    guard startup.sockets.isEmpty else {
      server = nil
      return
    }
    let configuration = service.configuration
    let metrics = Metrics()
    startup.kubernetes?.register(in: metrics)
    ProcessNumbers.register(in: metrics)
    do throws(SystemError) {
      server = try await HTTPServer(
        address: configuration.consoleAddress,
        port: configuration.consolePort,
        loops: [startup.loop],
        handler: Answers(metrics: metrics, host: configuration.consoleAddress, why: why)
      )
    } catch {
      service.logger.warning("no console while standing by", metadata: ["error": "\(error)"])
      server = nil
    }
  }

  var isOver: Bool { hasEnded.withLock { $0 } }

  /// Again does nothing.
  func end() async {
    let isFirst = hasEnded.withLock { hasEnded in
      defer { hasEnded = true }
      return !hasEnded
    }
    if isFirst { await server?.shutdown(grace: .seconds(1)) }
  }
}
