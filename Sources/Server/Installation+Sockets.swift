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
  /// What has the console's port until the installation wants it.
  var standby: Standby?
  /// Where the work of the bus is shared: the part of it that is ours; nil: all of it.
  var share: PartitionShare?

  func open(
    _ folder: String,
    _ log: EventLog.Configuration
  ) async throws -> (log: EventLog, recovery: EventLog.Recovery) {
    if let kafkaBus { return try await kafkaBus.open(folder, log) }
    return try await EventLog.open(folder: folder, log, patience: patience, on: loop)
  }
}

extension Installation {
  /// The listening sockets, for the process that is going to serve them. Nothing changes yet.
  func handOut() async -> Response {
    var response = Response.json(
      200,
      JSON.object([.init(key: "process", value: .string("\(getpid())"))]).encoded()
    )
    do throws(SystemError) {
      for server in ports.servers + [console].compactMap(\.self) {
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
    for server in ports.servers { server.leaveQueue() }
    console?.leaveQueue()
    startup.handedOver.ring()
  }
}
