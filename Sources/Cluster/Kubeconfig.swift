import HTTPClient
import Manifest
import Posix

/// Bytes that stand in a configuration or in a file it names.
package enum ConfiguredBytes: Sendable, Equatable {
  case inline([UInt8])
  /// Read anew whenever it is needed: files are rotated.
  case file(String)
}

/// A program that gives credentials (spec section A.1).
package struct CredentialPlugin: Sendable, Equatable {
  package let apiVersion: String
  package let command: String
  package let arguments: [String]
  package let environment: [(name: String, value: String)]
  /// Whether it is told about the cluster.
  package let wantsCluster: Bool

  package static func == (a: CredentialPlugin, b: CredentialPlugin) -> Bool {
    a.apiVersion == b.apiVersion && a.command == b.command && a.arguments == b.arguments
      && a.wantsCluster == b.wantsCluster
      && a.environment.elementsEqual(b.environment, by: ==)
  }
}

/// As whom requests are made.
package enum ClusterIdentity: Sendable, Equatable {
  case anonymous
  case token(String)
  case tokenFile(String)
  case basic(user: String, password: String)
  case plugin(CredentialPlugin)
}

/// How to reach a cluster.
package struct ClusterConfiguration: Sendable {
  /// Scheme, host and port with the path in front of `/api`, without a slash at the end.
  package var server: String
  /// The name that the certificate must bear where it is not the server's host.
  package var serverName: String?
  package var proxy: String?
  /// nil: the system's authorities.
  package var authorities: ConfiguredBytes?
  package var certificate: ConfiguredBytes?
  package var key: ConfiguredBytes?
  package var identity: ClusterIdentity
  /// `Impersonate-` headers.
  package var impersonation: [(name: String, value: String)]
  /// Where objects without a namespace belong.
  package var namespace: String
  /// Where it was read, for messages.
  package var origin: String

  package init(server: String, identity: ClusterIdentity, origin: String) {
    self.server = server
    self.identity = identity
    self.origin = origin
    impersonation = []
    namespace = "default"
  }
}

/// The files of a kubeconfig, merged.
package struct Kubeconfig {
  /// A named entry with the folder its relative paths start from.
  private struct Entry {
    let node: Node
    let folder: String
  }

  private var contexts: [String: Entry] = [:]
  private var clusters: [String: Entry] = [:]
  private var users: [String: Entry] = [:]
  private var current: String?
  private let origin: String

  /// Merges files in order: for a named entry the first file that has it counts, whole; missing
  /// files are skipped (spec section A.1).
  /// - Throws: `ClusterError` with file, line and column.
  package init(files: [String]) throws(ClusterError) {
    origin = files.joined(separator: ":")
    var isFound = false
    for file in files where Files.kind(file) == .file {
      isFound = true
      try merge(file)
    }
    guard isFound else {
      throw ClusterError(.notConfigured, "there is no file \(files.joined(separator: " or "))")
    }
  }

  private mutating func merge(_ file: String) throws(ClusterError) {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Files.read(file, limit: 4 << 20) } catch {
      throw ClusterError(.configuration, "\(error)")
    }
    let diagnostics = Diagnostics()
    let root = yamlDocument(bytes, file: file, diagnostics)
    if let problem = diagnostics.all.first { throw ClusterError(.configuration, "\(problem)") }
    guard let root else { return }
    let folder = Files.parent(of: file)
    for (list, key) in [("contexts", "context"), ("clusters", "cluster"), ("users", "user")] {
      guard let node = root[list], case .sequence(let entries) = node.value else { continue }
      for entry in entries {
        let name = try entry.text("name", "\(list)[].name") ?? ""
        guard let inner = entry[key] else { continue }
        let found = Entry(node: inner, folder: folder)
        switch list {
        case "contexts": if contexts[name] == nil { contexts[name] = found }
        case "clusters": if clusters[name] == nil { clusters[name] = found }
        default: if users[name] == nil { users[name] = found }
        }
      }
    }
    if current == nil, let name = try root.text("current-context"), !name.isEmpty { current = name }
  }

  /// The configuration of a context.
  /// - Parameter name: nil: the current one.
  /// - Throws: `ClusterError` with file, line and column of what does not fit.
  package func configuration(context name: String? = nil) throws(ClusterError)
    -> ClusterConfiguration
  {
    guard let name = name ?? current else {
      throw ClusterError(.configuration, "\(origin): found no current-context")
    }
    guard let context = contexts[name] else {
      throw ClusterError(.configuration, "\(origin): found no context '\(name)'")
    }
    let clusterName = try context.node.text("cluster") ?? ""
    guard let cluster = clusters[clusterName] else {
      throw context.node.problem("cluster", "found no cluster '\(clusterName)'")
    }
    let user = try context.node.text("user").flatMap { $0.isEmpty ? nil : $0 }
    var found = try read(cluster)
    if let user {
      guard let entry = users[user] else {
        throw context.node.problem("user", "found no user '\(user)'")
      }
      try read(entry, into: &found)
    }
    if let namespace = try context.node.text("namespace"), !namespace.isEmpty {
      found.namespace = namespace
    }
    return found
  }

  private func read(_ cluster: Entry) throws(ClusterError) -> ClusterConfiguration {
    let node = cluster.node
    var server = try node.text("server") ?? ""
    guard server.hasPrefix("https://") || server.hasPrefix("http://") else {
      throw node.problem("server", "found '\(server)', expected a URL with its scheme, https://…")
    }
    while server.hasSuffix("/") { server.removeLast() }
    var found = ClusterConfiguration(server: server, identity: .anonymous, origin: origin)
    if let skip = node["insecure-skip-tls-verify"], case .bool(true) = skip.value {
      throw node.problem(
        "insecure-skip-tls-verify",
        "found true: certificates are always verified; name the authority in "
          + "certificate-authority-data, or the certificate's name in tls-server-name"
      )
    }
    found.serverName = try node.text("tls-server-name")
    found.proxy = try node.text("proxy-url")
    if let proxy = found.proxy,
      !["http://", "https://", "socks5://"].contains(where: proxy.hasPrefix)
    {
      throw node.problem("proxy-url", "found '\(proxy)', expected http://, https:// or socks5://")
    }
    found.authorities = try bytes("certificate-authority", cluster)
    return found
  }

  private func read(_ user: Entry, into found: inout ClusterConfiguration) throws(ClusterError) {
    let node = user.node
    if node["auth-provider"] != nil {
      throw node.problem("auth-provider", "is not supported: use exec")
    }
    found.certificate = try bytes("client-certificate", user)
    found.key = try bytes("client-key", user)
    if (found.certificate == nil) != (found.key == nil) {
      throw node.problem(nil, "found one of client-certificate and client-key, expected both")
    }
    let token = try node.text("token")
    let password = try node.text("password")
    let name = try node.text("username")
    if token != nil && (name != nil || password != nil) {
      throw node.problem("token", "found a token and a username, expected one of them")
    }
    // Where both are given the file counts (spec section A.1).
    if let file = try node.text("tokenFile") {
      found.identity = .tokenFile(path(file, user.folder))
    } else if let token, !token.isEmpty {
      found.identity = .token(token)
    } else if let name {
      found.identity = .basic(user: name, password: password ?? "")
    } else if let plugin = node["exec"] {
      found.identity = .plugin(try self.plugin(plugin, user.folder))
    }
    found.impersonation = try impersonation(node)
  }

  private func plugin(_ node: Node, _ folder: String) throws(ClusterError) -> CredentialPlugin {
    let version = try node.text("apiVersion") ?? ""
    let known = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]
    guard known.contains(version) else {
      throw node.problem(
        "apiVersion",
        "found '\(version)', expected one of \(known.joined(separator: ", "))"
      )
    }
    let mode = try node.text("interactiveMode") ?? ""
    if mode == "Always" {
      throw node.problem("interactiveMode", "found Always: nobody sits at this program")
    }
    if mode.isEmpty && version == known[0] {
      throw node.problem("interactiveMode", "found nothing, expected Never or IfAvailable")
    }
    var command = try node.text("command") ?? ""
    guard !command.isEmpty else {
      throw node.problem("command", "found nothing, expected a program")
    }
    if command.contains("/") { command = path(command, folder) }
    var environment: [(name: String, value: String)] = []
    for entry in node.list("env") {
      environment.append((try entry.text("name") ?? "", try entry.text("value") ?? ""))
    }
    var arguments: [String] = []
    for argument in node.list("args") {
      guard case .string(let text) = argument.value else {
        throw ClusterError(.configuration, "\(argument.mark): args: expected strings")
      }
      arguments.append(text)
    }
    var wantsCluster = false
    if let flag = node["provideClusterInfo"], case .bool(let value) = flag.value {
      wantsCluster = value
    }
    return CredentialPlugin(
      apiVersion: version,
      command: command,
      arguments: arguments,
      environment: environment,
      wantsCluster: wantsCluster
    )
  }

  private func impersonation(
    _ node: Node
  ) throws(ClusterError) -> [(name: String, value: String)] {
    var headers: [(name: String, value: String)] = []
    if let user = try node.text("as") { headers.append(("Impersonate-User", user)) }
    if let uid = try node.text("as-uid") { headers.append(("Impersonate-Uid", uid)) }
    for group in node.list("as-groups") {
      if case .string(let text) = group.value { headers.append(("Impersonate-Group", text)) }
    }
    if let extra = node["as-user-extra"], case .mapping(let entries) = extra.value {
      for entry in entries {
        guard case .sequence(let values) = entry.node.value else { continue }
        for value in values {
          guard case .string(let text) = value.value else { continue }
          headers.append(("Impersonate-Extra-" + percentEncoded(entry.key), text))
        }
      }
    }
    return headers
  }

  /// `NAME-data`, which wins, or the file that `NAME` names.
  private func bytes(_ name: String, _ entry: Entry) throws(ClusterError) -> ConfiguredBytes? {
    if let text = try entry.node.text(name + "-data"), !text.isEmpty {
      guard let bytes = base64Decoded(text) else {
        throw entry.node.problem(name + "-data", "expected base64")
      }
      return .inline(bytes)
    }
    guard let file = try entry.node.text(name), !file.isEmpty else { return nil }
    return .file(path(file, entry.folder))
  }

  private func path(_ path: String, _ folder: String) -> String {
    path.hasPrefix("/") ? path : folder + "/" + path
  }
}

extension Node {
  /// The text under `key`; nil where there is none.
  fileprivate func text(_ key: String, _ field: String? = nil) throws(ClusterError) -> String? {
    guard let node = self[key] else { return nil }
    switch node.value {
    case .string(let text): return text
    case .null: return nil
    // A token or a name of digits is still text.
    case .number(let text): return text
    default:
      throw ClusterError(
        .configuration,
        "\(node.mark): \(field ?? key): found \(node.kindName), expected a string"
      )
    }
  }

  fileprivate func list(_ key: String) -> [Node] {
    guard let node = self[key], case .sequence(let items) = node.value else { return [] }
    return items
  }

  fileprivate func problem(_ key: String?, _ message: String) -> ClusterError {
    let place = key.flatMap { self[$0]?.mark } ?? mark
    return ClusterError(.configuration, "\(place): " + (key.map { "\($0): " } ?? "") + message)
  }
}
