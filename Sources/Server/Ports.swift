import HTTP
import Logging
import Observe
import Plugin
import Posix

/// The ports that event sources listen on.
final class Ports {
  struct Listener {
    let server: HTTPServer
    let routes: PortRoutes
    let certificates: PortTLS
  }

  private let configuration: Server.Configuration
  private let sockets: ListeningSockets
  private let loops: [EventLoop]
  /// All ports have one budget for the bodies of their requests.
  private let limits: HTTPLimits
  private let accessLog: AccessLog?
  private let instruments: Instruments
  private let logger: Logger
  private let report: @Sendable (String) -> Void
  private var listeners: [Int: Listener] = [:]

  init(
    _ configuration: Server.Configuration,
    _ sockets: ListeningSockets,
    _ loops: [EventLoop],
    _ limits: HTTPLimits,
    _ accessLog: AccessLog?,
    _ instruments: Instruments,
    _ logger: Logger,
    report: @escaping @Sendable (String) -> Void
  ) {
    self.configuration = configuration
    self.sockets = sockets
    self.loops = loops
    self.limits = limits
    self.accessLog = accessLog
    self.instruments = instruments
    self.logger = logger
    self.report = report
  }

  var servers: [HTTPServer] { listeners.values.map(\.server) }

  func listens(on port: Int) -> Bool { listeners[port] != nil }

  /// Listens on those of `wanted` that are not listened on yet, and answers 503 there until `replace` puts
  /// them in force: what comes before its sensors are there would pass them.
  /// - Parameter isInForce: whether they are served at once.
  /// - Throws: `PortFailure`; then none was opened.
  func open(
    _ wanted: [(Int, [Route])],
    isInForce: Bool = false
  ) async throws(PortFailure) -> [Int: Listener] {
    var opened: [Int: Listener] = [:]
    for (port, routes) in wanted where listeners[port] == nil {
      do throws(SystemError) { opened[port] = try await listen(port, routes, isInForce) } catch {
        await close(opened)
        throw PortFailure(port: port, error: error)
      }
    }
    return opened
  }

  /// Listens on those of the first plan.
  /// - Parameter mustHaveAll: whether one that cannot be had ends the start.
  /// - Throws: `SystemError`.
  func openFirst(_ wanted: [(Int, [Route])], mustHaveAll: Bool) async throws(SystemError) {
    for (port, routes) in wanted {
      do throws(PortFailure) {
        add(try await open([(port, routes)], isInForce: true))
      } catch {
        if mustHaveAll { throw error.error }
      }
    }
  }

  private func add(_ opened: [Int: Listener]) { listeners.merge(opened) { old, _ in old } }

  func close(_ opened: [Int: Listener]) async {
    for listener in opened.values { await listener.server.shutdown(grace: .zero) }
  }

  /// Serves `wanted` from here on, with `opened` for what is new; other ports are closed.
  func replace(with wanted: [(Int, [Route])], _ opened: [Int: Listener]) async {
    let ports = Dictionary(uniqueKeysWithValues: wanted)
    for (port, listener) in listeners {
      if let routes = ports[port] {
        listener.routes.replace(with: routes)
        listener.certificates.replace(with: PortCertificates(routes))
      } else {
        await listener.server.shutdown(grace: .seconds(10))
        listeners[port] = nil
      }
    }
    for (port, listener) in opened { listener.routes.replace(with: ports[port] ?? []) }
    add(opened)
  }

  private func listen(
    _ port: Int,
    _ routes: [Route],
    _ isInForce: Bool
  ) async throws(SystemError) -> Listener {
    let table = PortRoutes(isInForce ? routes : nil)
    let (label, instruments) = ("\(port)", instruments)
    let certificates = PortTLS(PortCertificates(routes), logger)
    let server = try await sockets.serve(
      configuration.address,
      port,
      table,
      loops,
      HTTPObserver(
        answered: { [accessLog] in
          instruments.requests.increment([label, "\($0.status)"])
          accessLog?.note($0, port: label)
        },
        connections: { instruments.connections.add(Double($0), [label]) },
        misused: { instruments.misuses.increment([label, $0.rawValue]) }
      ),
      limits: limits
    ) { certificates.encryption() }
    let paths = routes.map(\.path).joined(separator: " ")
    let scheme = routes.contains { $0.tls != nil } ? "https" : "http"
    report("listening on \(configuration.address):\(port) (\(scheme)) for \(paths)")
    return Listener(server: server, routes: table, certificates: certificates)
  }
}

extension ListeningSockets {
  /// Serves on a socket that was there already, or on a new one.
  func serve(
    _ address: String,
    _ port: Int,
    _ handler: any RequestHandler,
    _ loops: [EventLoop],
    _ observer: HTTPObserver = HTTPObserver(),
    limits: HTTPLimits,
    _ encryption: @escaping @Sendable () -> Encryption = { .plain }
  ) async throws(SystemError) -> HTTPServer {
    guard let taken = take(port) else {
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
}

extension Metrics {
  func showBodies(_ limits: HTTPLimits) {
    gauge(
      "signalbox_http_body_bytes",
      help: "Memory held by the bodies of requests under way."
    ) { [bodies = limits.bodies] in Double(bodies.inUse) }
  }
}

extension Server.Configuration {
  /// Of the console, which no proxy stands before; all servers share the budget for bodies.
  var ownLimits: HTTPLimits {
    var limits = HTTPLimits()
    limits.bodies = BodyBudget(bodyMemoryBytes)
    return limits
  }

  /// Of the ports that event sources listen on.
  func portLimits(_ own: HTTPLimits) -> HTTPLimits {
    var limits = own
    limits.clients.trustedProxies = trustedProxies
    limits.clients.usesProxyProtocol = usesProxyProtocol
    limits.clients.rate = clientRate.map {
      ClientRate(perSecond: $0.perSecond, burst: $0.burst)
    }
    return limits
  }

  /// - Throws: `SystemError`.
  func openAccessLog(_ logger: Logger) throws(SystemError) -> AccessLog? {
    try accessLog.map { (path) throws(SystemError) in try AccessLog(path, logger) }
  }
}
