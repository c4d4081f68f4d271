import Cluster
import HTTPClient
import JSON
import Manifest
import Plugin

/// Where a server of Argo is, and as whom we come: `server` of a trigger.
struct ArgoServerSpec: Sendable {
  /// Without a slash at the end.
  let url: String
  let token: SecretSelector?
  /// PEM certificates in place of the system's authorities.
  let authorities: SecretSelector?

  /// Reads and finishes a `server` block.
  init(from block: Block) {
    var url = block.requiredString("url")
    while url.hasSuffix("/") { url.removeLast() }
    if !url.isEmpty, !url.hasPrefix("https://"), !url.hasPrefix("http://") {
      block.error("url", "found '\(url)', expected one that begins with https:// or http://")
    }
    self.url = url
    token = block.secret("token")
    authorities = block.secret("caCertificate")
    if url.hasPrefix("http://"), token != nil {
      block.warning("url", "the token is sent in plain")
    }
    block.finish()
  }

  /// Reports secrets that are not there.
  func check(_ host: any TriggerHost, _ block: Block) {
    for selector in [token, authorities].compactMap({ $0 }) {
      do throws(SecretError) {
        _ = try host.secrets.secret(name: selector.name, key: selector.key)
      } catch { block.error(nil, "server: \(error)") }
    }
  }
}

/// The REST API of argo-server or of Argo CD's server, where only they can do what is asked for
/// (spec sections B.3 and C.2).
struct ArgoAPI: Sendable {
  let spec: ArgoServerSpec
  let host: any TriggerHost

  private static let answerBytes = 64 << 20

  /// - Throws: `ClusterError` with what the server says.
  @discardableResult
  func send(
    _ method: OutboundRequest.Method,
    _ path: String,
    query: [(name: String, value: String)] = [],
    _ body: JSON? = nil
  ) async throws(ClusterError) -> JSON {
    var url = spec.url + path
    let pairs = query.map { "\(percentEncoded($0.name))=\(percentEncoded($0.value))" }
    if !pairs.isEmpty { url += "?" + pairs.joined(separator: "&") }
    // Exactly this, without a character set, on everything but GET (section C.2).
    var headers = [(name: "Accept", value: "application/json")]
    if method != .get { headers.append(("Content-Type", "application/json")) }
    if let token = spec.token {
      headers.append(
        ("Authorization", "Bearer " + String(decoding: try secret(token), as: UTF8.self))
      )
    }
    var request = OutboundRequest(
      method,
      url,
      headers: headers,
      body: body?.encoded(),
      rule: .trusted,
      bodyLimit: Self.answerBytes
    )
    if let authorities = spec.authorities {
      request.tls = OutboundTLS(authorities: try secret(authorities))
    }
    let response: OutboundResponse
    do throws(OutboundError) { response = try await host.send(request) } catch {
      throw ClusterError(.transport(error.kind), error.description)
    }
    guard (200...299).contains(response.status) else { throw Self.error(response) }
    if response.isTruncated {
      throw ClusterError(.transport(.tooLarge), "\(path): the answer is too large")
    }
    if response.body.isEmpty { return .null }
    do throws(JSONError) { return try JSON(parsing: response.body) } catch {
      throw ClusterError(.transport(.transport), "\(path): the answer is no JSON: \(error)")
    }
  }

  private func secret(_ selector: SecretSelector) throws(ClusterError) -> [UInt8] {
    do throws(SecretError) {
      return try host.secrets.secret(name: selector.name, key: selector.key).reveal()
    } catch { throw ClusterError(.credential, "\(error)") }
  }

  /// `{"error", "code", "message"}`, with a code of gRPC's.
  private static func error(_ response: OutboundResponse) -> ClusterError {
    let body = try? JSON(parsing: response.body)
    guard let text = body?["message"]?.asString ?? body?["error"]?.asString else {
      return ClusterError(status: response.status, body: response.body)
    }
    return ClusterError(status: response.status, message: text)
  }
}
