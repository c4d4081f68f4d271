import Glibc
import JSON
import Posix

/// What a credential plugin gave (spec section A.1).
struct PluginAnswer: Sendable {
  let token: String?
  /// PEM as it stands, not base64.
  let certificate: [UInt8]
  let key: [UInt8]
  /// `expirationTimestamp`; nil: until the server refuses it.
  private let expires: Int64?

  /// - Throws: `ClusterError` of kind `credential`.
  init(_ output: [UInt8], apiVersion: String) throws(ClusterError) {
    guard let json = try? JSON(parsing: output) else {
      throw ClusterError(.credential, "the credential plugin did not write JSON")
    }
    guard json["kind"] == "ExecCredential", json["apiVersion"] == .string(apiVersion) else {
      throw ClusterError(
        .credential,
        "the credential plugin did not write an ExecCredential of \(apiVersion)"
      )
    }
    token = json.at("status", "token")?.asString
    certificate = Array((json.at("status", "clientCertificateData")?.asString ?? "").utf8)
    key = Array((json.at("status", "clientKeyData")?.asString ?? "").utf8)
    if token == nil && (certificate.isEmpty || key.isEmpty) {
      throw ClusterError(
        .credential,
        "the credential plugin gave neither a token nor a certificate"
      )
    }
    if let text = json.at("status", "expirationTimestamp")?.asString {
      guard let seconds = secondsSince1970(text) else {
        throw ClusterError(
          .credential,
          "the credential plugin gave a malformed expirationTimestamp"
        )
      }
      expires = seconds
    } else {
      expires = nil
    }
  }

  func hasExpired(_ nowNanoseconds: Int64) -> Bool {
    expires.map { nowNanoseconds / 1_000_000_000 >= $0 } ?? false
  }
}

/// One run of a credential plugin.
struct PluginRun {
  private let plugin: CredentialPlugin
  private let configuration: ClusterConfiguration
  private let loop: EventLoop

  private static let limit = Duration.seconds(60)

  init(_ plugin: CredentialPlugin, _ configuration: ClusterConfiguration, _ loop: EventLoop) {
    self.plugin = plugin
    self.configuration = configuration
    self.loop = loop
  }

  func result() async -> Result<PluginAnswer, ClusterError> {
    do throws(ClusterError) {
      return .success(try PluginAnswer(try await output(), apiVersion: plugin.apiVersion))
    } catch { return .failure(error) }
  }

  private func output() async throws(ClusterError) -> [UInt8] {
    do {
      let input = try FileDescriptor.memory("plugin-input", [])
      let output = try FileDescriptor.memory("plugin-output", [])
      let errors = try FileDescriptor.memory("plugin-errors", [])
      let program = Program(
        path: try path(),
        arguments: [plugin.command] + plugin.arguments,
        environment: environment()
      )
      let process = try program.start(descriptors: [input.raw, output.raw, errors.raw])
      let handle = try? ProcessHandle(process)
      let deadline = MonotonicTime.now() + Self.limit
      var end = Processes.reap(process)?.end
      while end == nil {
        let left = deadline - MonotonicTime.now()
        if left <= .zero {
          kill(-process, SIGKILL)
          await loop.waitForEnd(of: handle)
          _ = Processes.reap(process)
          throw ClusterError(.credential, "the credential plugin did not end within 60 s")
        }
        await loop.waitForEnd(of: handle, atMost: left)
        end = Processes.reap(process)?.end
        if Task.isCancelled && end == nil { kill(-process, SIGKILL) }
      }
      guard end == .exited(0) else {
        let words = String(decoding: try content(of: errors).prefix(300), as: UTF8.self)
        throw ClusterError(.credential, "the credential plugin failed: \(words)")
      }
      return try content(of: output)
    } catch let error as ClusterError {
      throw error
    } catch {
      throw ClusterError(.credential, "the credential plugin '\(plugin.command)': \(error)")
    }
  }

  private func content(of file: borrowing FileDescriptor) throws(SystemError) -> [UInt8] {
    lseek(file.raw, 0, SEEK_SET)
    return try Files.readToEnd(file, limit: 1 << 20)
  }

  /// Where the command is: it is looked for in `PATH` unless it has a slash.
  private func path() throws(ClusterError) -> String {
    if plugin.command.contains("/") { return plugin.command }
    let folders = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    for folder in folders.split(separator: ":") {
      let path = "\(folder)/\(plugin.command)"
      if unsafe access(path, X_OK) == 0 { return path }
    }
    throw ClusterError(.credential, "the credential plugin '\(plugin.command)' is not in PATH")
  }

  /// Ours without secrets of manifests, then the plugin's own.
  private func environment() -> [String] {
    var entries: [String] = []
    var place = unsafe environ
    while let entry = unsafe place.pointee {
      entries.append(unsafe String(cString: entry))
      unsafe place += 1
    }
    let own = Set(plugin.environment.map(\.name) + ["KUBERNETES_EXEC_INFO"])
    entries.removeAll { entry in
      entry.hasPrefix("SIGNALBOX_SECRET_") || own.contains(String(entry.prefix { $0 != "=" }))
    }
    return entries + plugin.environment.map { "\($0.name)=\($0.value)" }
      + ["KUBERNETES_EXEC_INFO=\(info.text)"]
  }

  private var info: JSON {
    var spec: JSON = ["interactive": false]
    if plugin.wantsCluster {
      var cluster: JSON = ["server": .string(configuration.server)]
      if let name = configuration.serverName { cluster.set(.string(name), at: "tls-server-name") }
      if let proxy = configuration.proxy { cluster.set(.string(proxy), at: "proxy-url") }
      switch configuration.authorities {
      case .inline(let bytes):
        cluster.set(.string(base64Encoded(bytes)), at: "certificate-authority-data")
      case .file(let path):
        if let bytes = try? Files.read(path, limit: 1 << 20) {
          cluster.set(.string(base64Encoded(bytes)), at: "certificate-authority-data")
        }
      case nil: break
      }
      spec.set(cluster, at: "cluster")
    }
    return [
      "apiVersion": .string(plugin.apiVersion), "kind": "ExecCredential", "spec": spec,
    ]
  }
}

/// The instant that an RFC 3339 time with whole seconds or a fraction names.
package func secondsSince1970(_ text: String) -> Int64? {
  let bytes = Array(text.utf8)
  func number(_ range: Range<Int>) -> Int64? {
    guard range.upperBound <= bytes.count else { return nil }
    var value: Int64 = 0
    for byte in bytes[range] {
      guard (0x30...0x39).contains(byte) else { return nil }
      value = value * 10 + Int64(byte - 0x30)
    }
    return value
  }
  guard bytes.count >= 20, bytes[4] == 0x2d, bytes[7] == 0x2d, bytes[10] | 0x20 == 0x74,
    bytes[13] == 0x3a, bytes[16] == 0x3a, let year = number(0..<4), let month = number(5..<7),
    let day = number(8..<10), let hour = number(11..<13), let minute = number(14..<16),
    let second = number(17..<19), (1...12).contains(month), (1...31).contains(day), hour < 24,
    minute < 60, second <= 60
  else { return nil }
  var rest = bytes[19...]
  if rest.first == 0x2e { rest = rest.dropFirst().drop { (0x30...0x39).contains($0) } }
  var shift: Int64 = 0
  if rest.count == 6, let sign = rest.first, sign == 0x2b || sign == 0x2d {
    let at = rest.startIndex
    guard let hours = number(at + 1..<at + 3), let minutes = number(at + 4..<at + 6) else {
      return nil
    }
    shift = (sign == 0x2b ? 1 : -1) * (hours * 3600 + minutes * 60)
  } else if rest.count != 1 || (rest.first ?? 0) | 0x20 != 0x7a {
    return nil
  }
  // Days since 1970, years beginning in March.
  let shifted = month <= 2 ? year - 1 : year
  let era = shifted / 400
  let ofEra = shifted - era * 400
  let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
  let days = era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
  return days * 86_400 + hour * 3600 + minute * 60 + second - shift
}
