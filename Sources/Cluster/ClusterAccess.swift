package import HTTPClient
package import Posix
import Glibc
import Synchronization

/// The cluster of an installation, connected to when somebody first needs it.
package final class ClusterAccess: Sendable {
  /// What one connection consists of.
  package struct Connection: Sendable {
    package let client: ClusterClient
    package let followers: Followers
  }

  private let kubeconfig: String?
  private let context: String?
  private let http: HTTPClient?
  private let loop: EventLoop?
  private let timing: ObjectWatch.Timing
  private let limits: ClusterClient.Limits
  private let environment: @Sendable (String) -> String?
  private let report: @Sendable (String) -> Void
  private let connected = Mutex<Connection?>(nil)
  /// Whose connection it is where it reaches less far.
  private let whole: ClusterAccess?
  package let scope: ClusterScope

  /// - Parameter kubeconfig: one path, or several joined by `:`; nil: `KUBECONFIG`, then the service
  ///   account of a pod, then `~/.kube/config`.
  /// - Parameter environment: the value of a variable.
  /// - Parameter report: takes warnings of the server and what goes wrong with watches.
  package init(
    kubeconfig: String? = nil,
    context: String? = nil,
    http: HTTPClient?,
    loop: EventLoop?,
    timing: ObjectWatch.Timing = ObjectWatch.Timing(),
    limits: ClusterClient.Limits = ClusterClient.Limits(),
    environment: @escaping @Sendable (String) -> String? = { variable($0) },
    report: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.kubeconfig = kubeconfig
    self.context = context
    self.http = http
    self.loop = loop
    self.timing = timing
    self.limits = limits
    self.environment = environment
    self.report = report
    whole = nil
    scope = .everywhere
  }

  private init(_ whole: ClusterAccess, _ scope: ClusterScope) {
    kubeconfig = whole.kubeconfig
    context = whole.context
    http = whole.http
    loop = whole.loop
    timing = whole.timing
    limits = whole.limits
    environment = whole.environment
    report = whole.report
    self.whole = whole
    self.scope = scope
  }

  /// The same connection, reaching no further than `scope`; closed with this one.
  package func scoped(to scope: ClusterScope) -> ClusterAccess { ClusterAccess(self, scope) }

  /// Nothing is configured and nothing can be asked for.
  package static let none = ClusterAccess(http: nil, loop: nil)

  /// How to reach the cluster.
  /// - Throws: `ClusterError`: `notConfigured` where nobody said, else what is wrong.
  package func configuration() throws(ClusterError) -> ClusterConfiguration {
    let named = kubeconfig ?? environment("KUBECONFIG")
    if let named, !named.isEmpty {
      return try Kubeconfig(files: named.split(separator: ":").map(String.init))
        .configuration(context: context)
    }
    if let inside = try InCluster.configuration(environment) { return inside }
    guard let home = environment("HOME"), Files.kind(home + "/.kube/config") == .file else {
      throw ClusterError(
        .notConfigured,
        "no cluster is configured: give --kubeconfig or KUBECONFIG, or run in a pod with a service "
          + "account"
      )
    }
    return try Kubeconfig(files: [home + "/.kube/config"]).configuration(context: context)
  }

  /// The connection, made by the first call that has a configuration.
  /// - Throws: as `configuration`.
  package func connection() throws(ClusterError) -> Connection {
    if let known = connected.withLock({ $0 }) { return known }
    if let whole {
      let shared = try whole.connection()
      return Connection(client: shared.client.scoped(to: scope), followers: shared.followers)
    }
    var configuration = try configuration()
    guard let http, let loop else { throw ClusterError(.notConfigured, "nothing is running") }
    if configuration.proxy == nil { configuration.proxy = proxy(for: configuration.server) }
    let client = ClusterClient(
      configuration,
      http: http,
      loop: loop,
      limits: limits,
      warn: { [report] in report("the cluster warns: \($0)") }
    )
    let followers = Followers(client, timing: timing) { [report] error in
      report("a watch failed and is tried again: \(error)")
    }
    let made = Connection(client: client, followers: followers)
    return connected.withLock { connected in
      // Another call may have been faster.
      if connected == nil { connected = made }
      return connected ?? made
    }
  }

  /// Ends every watch.
  package func close() async {
    await connected.withLock { $0 }?.followers.close()
  }

  /// `HTTPS_PROXY` unless `NO_PROXY` names the host (spec section A.1).
  private func proxy(for server: String) -> String? {
    let isSecure = server.hasPrefix("https://")
    let names = isSecure ? ["HTTPS_PROXY", "https_proxy"] : ["HTTP_PROXY", "http_proxy"]
    guard let proxy = names.lazy.compactMap(environment).first, !proxy.isEmpty,
      let host = (try? OutboundURL(parsing: server))?.host
    else { return nil }
    let exceptions = environment("NO_PROXY") ?? environment("no_proxy") ?? ""
    for entry in exceptions.split(separator: ",") {
      let name = entry.drop { $0 == " " || $0 == "." }
      if entry == "*" || host == name || host.hasSuffix("." + name) { return nil }
    }
    return host == "localhost" || host.hasPrefix("127.") ? nil : proxy
  }
}

/// The value of a variable of this process.
package func variable(_ name: String) -> String? {
  unsafe getenv(name).map { unsafe String(cString: $0) }
}

/// The service account that a pod has (spec section A.2).
package enum InCluster {
  package static let folder = "/var/run/secrets/kubernetes.io/serviceaccount"

  /// nil outside a cluster.
  /// - Parameter variable: of the environment.
  /// - Throws: `ClusterError` where the account cannot be read.
  package static func configuration(
    _ variable: (String) -> String?,
    folder: String = folder
  ) throws(ClusterError) -> ClusterConfiguration? {
    guard let host = variable("KUBERNETES_SERVICE_HOST"),
      let port = variable("KUBERNETES_SERVICE_PORT"), !host.isEmpty, !port.isEmpty
    else { return nil }
    let bracketed = host.contains(":") ? "[\(host)]" : host
    var found = ClusterConfiguration(
      server: "https://\(bracketed):\(port)",
      identity: .tokenFile(folder + "/token"),
      origin: folder
    )
    found.authorities = .file(folder + "/ca.crt")
    do throws(SystemError) {
      let name = String(decoding: try Files.read(folder + "/namespace", limit: 4096), as: UTF8.self)
      found.namespace = String(name.filter { !$0.isWhitespace })
    } catch { throw ClusterError(.configuration, "\(error)") }
    return found
  }
}
