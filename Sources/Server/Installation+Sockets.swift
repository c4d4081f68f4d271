import EventLog
import Glibc
import HTTP
import JSON
import Posix

/// What an installation finds when it begins.
struct Startup: Sendable {
  let sockets: ListeningSockets
  /// How long the folder may be held by another process.
  let patience: Duration
  let loop: EventLoop
  /// Rung when another process serves the listening sockets.
  let handedOver: Bell
  /// Rung when the manifests may have changed.
  let changed: Bell
  /// nil: the manifests are files.
  var kubernetes: KubernetesMode?
  /// Where the bus is on Kafka; nil: in the folder alone.
  var kafkaBus: KafkaBusAccess?

  func open(
    _ folder: String,
    _ log: EventLog.Configuration
  ) async throws -> (log: EventLog, recovery: EventLog.Recovery) {
    if let kafkaBus { return try await kafkaBus.open(folder, log) }
    return try await EventLog.open(folder: folder, log, patience: patience, on: loop)
  }
}

extension Installation {
  /// On a socket that was there already, or on a new one.
  func serve(
    _ address: String,
    _ port: Int,
    _ handler: any RequestHandler,
    _ observer: HTTPObserver = HTTPObserver(),
    limits: HTTPLimits,
    _ encryption: @escaping @Sendable () -> Encryption = { .plain }
  ) async throws(SystemError) -> HTTPServer {
    guard let taken = startup.sockets.take(port) else {
      return try await HTTPServer(
        address: address,
        port: port,
        loops: loops,
        limits: limits,
        observer: observer,
        encryption: encryption,
        handler: handler
      )
    }
    return try await HTTPServer(
      socket: taken.socket,
      isShared: taken.isShared,
      loops: loops,
      limits: limits,
      observer: observer,
      encryption: encryption,
      handler: handler
    )
  }

  // MARK: Handing over

  /// The listening sockets, for the process that is going to serve them. Nothing changes yet.
  func handOut() async -> Response {
    var response = Response.json(
      200,
      JSON.object([.init(key: "process", value: .string("\(getpid())"))]).encoded()
    )
    do throws(SystemError) {
      for server in listeners.values.map(\.server) + [console].compactMap(\.self) {
        response.descriptors.append(try await server.sharedSocket())
      }
    } catch { return .text(500, "the sockets cannot be handed over: \(error)") }
    guard response.descriptors.count <= Socket.passedMax else {
      return .text(500, "more than \(Socket.passedMax) sockets cannot be handed over")
    }
    return response
  }

  /// Another process serves the sockets from now on.
  func handOver() {
    for listener in listeners.values { listener.server.leaveQueue() }
    console?.leaveQueue()
    startup.handedOver.ring()
  }
}
