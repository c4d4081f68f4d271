import HTTPClient
import JSON
import Posix

/// What a request carries to be let in.
struct Credential: Sendable {
  var headers: [(name: String, value: String)] = []
  var tls: OutboundTLS
}

/// Finds the credential of each request and keeps it as long as its source says: token files are
/// read once a minute and after a refusal, plugins run when their answer has run out.
actor Credentials {
  private let configuration: ClusterConfiguration
  private let loop: EventLoop
  private let now: @Sendable () -> MonotonicTime

  private var token: (text: String, readAt: MonotonicTime)?
  private var granted: PluginAnswer?
  /// The run under way, which everybody waits for.
  private var run: Task<Result<PluginAnswer, ClusterError>, Never>?

  /// How long a token file is trusted without another look (spec sections A.1, A.2).
  private static let fileTime = Duration.seconds(60)

  init(
    _ configuration: ClusterConfiguration,
    _ loop: EventLoop,
    now: @escaping @Sendable () -> MonotonicTime
  ) {
    self.configuration = configuration
    self.loop = loop
    self.now = now
  }

  /// - Throws: `ClusterError` of kind `credential`, without the credential.
  func current() async throws(ClusterError) -> Credential {
    var credential = Credential(
      tls: OutboundTLS(
        authorities: try bytes(configuration.authorities),
        certificate: try bytes(configuration.certificate),
        key: try bytes(configuration.key),
        serverName: configuration.serverName
      )
    )
    switch configuration.identity {
    case .anonymous: break
    case .token(let token): credential.headers.append(("Authorization", "Bearer \(token)"))
    case .tokenFile(let path):
      credential.headers.append(("Authorization", "Bearer \(try read(path))"))
    case .basic(let user, let password):
      let pair = base64Encoded(Array("\(user):\(password)".utf8))
      credential.headers.append(("Authorization", "Basic \(pair)"))
    case .plugin(let plugin):
      let answer = try await answer(of: plugin)
      if let token = answer.token {
        credential.headers.append(("Authorization", "Bearer \(token)"))
      }
      if !answer.certificate.isEmpty {
        credential.tls.certificate = answer.certificate
        credential.tls.key = answer.key
      }
    }
    credential.headers += configuration.impersonation
    return credential
  }

  /// The server did not know it (401): the next one is fetched anew. Whether that can help.
  func refused() -> Bool {
    token = nil
    granted = nil
    switch configuration.identity {
    case .tokenFile, .plugin: return true
    default: return false
    }
  }

  private func bytes(_ source: ConfiguredBytes?) throws(ClusterError) -> [UInt8] {
    switch source {
    case nil: return []
    case .inline(let bytes): return bytes
    case .file(let path):
      do throws(SystemError) { return try Files.read(path, limit: 1 << 20) } catch {
        throw ClusterError(.credential, "\(error)")
      }
    }
  }

  private func read(_ path: String) throws(ClusterError) -> String {
    if let token, now() < token.readAt + Self.fileTime { return token.text }
    do throws(SystemError) {
      // Opened by its name each time: the kubelet swaps a symbolic link.
      var bytes = try Files.read(path, limit: 1 << 20)
      while let last = bytes.last, last == 0x0a || last == 0x0d || last == 0x20 {
        bytes.removeLast()
      }
      let text = String(decoding: bytes, as: UTF8.self)
      token = (text, now())
      return text
    } catch {
      // The last good content counts (spec section A.1).
      if let token { return token.text }
      throw ClusterError(.credential, "\(error)")
    }
  }

  private func answer(of plugin: CredentialPlugin) async throws(ClusterError) -> PluginAnswer {
    if let granted, !granted.hasExpired(wallClockNanoseconds()) { return granted }
    let task =
      run
      ?? Task { [loop, configuration] in
        await PluginRun(plugin, configuration, loop).result()
      }
    run = task
    let result = await task.value
    run = nil
    let answer = try result.get()
    granted = answer
    return answer
  }
}
