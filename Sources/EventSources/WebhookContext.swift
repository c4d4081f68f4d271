import JSON
package import Manifest
import Plugin

/// The fields that all sources on our HTTP listeners share (spec section 2.4).
package struct WebhookContext: Sendable {
  package let port: Int
  /// With a leading slash.
  package let endpoint: String
  package let method: String
  package let authSecret: SecretSelector?
  /// How the world reaches us, without the endpoint; nil where the manifest does not say.
  let url: String?
  package let bodyLimit: Int
  /// nil: served in plain.
  let tls: RouteTLS?
  let metadata: [JSON.Member]

  /// GET carries its data in the query, the others in the body.
  private static let methods = ["POST", "GET", "PUT", "PATCH", "DELETE"]

  /// Whether clients show a certificate before they are listened to.
  var checksClients: Bool { tls?.clientAuthorities != nil }

  /// Reads the fields from `block`, and `clientCASecret` from the event's own `signalbox` block;
  /// the caller finishes both.
  init(from block: Block, own: Block? = nil, bodyLimit: Int) {
    let endpoint = block.requiredString("endpoint")
    self.endpoint = endpoint.hasPrefix("/") ? endpoint : "/" + endpoint
    let text = block.requiredString("port")
    port = Int(text).flatMap { (1...65535).contains($0) ? $0 : nil } ?? 0
    if port == 0 && !text.isEmpty {
      block.error("port", "found '\(text)', expected a port from 1 to 65535 in quotes")
    }
    let method = block.string("method") ?? ""
    self.method = method.isEmpty ? "POST" : method
    if !Self.methods.contains(self.method) {
      let expected = Self.methods.joined(separator: ", ")
      block.error("method", "found '\(method)', expected one of \(expected)")
    }
    authSecret = block.secret("authSecret")
    self.bodyLimit = block.integer("maxPayloadSize", in: 1...(64 << 20)) ?? bodyLimit
    metadata = webhookMetadata(block)
    let url = block.string("url") ?? ""
    self.url = url.isEmpty ? nil : url
    tls = serverCertificates(block, own)
  }
}

private func serverCertificates(_ block: Block, _ own: Block?) -> RouteTLS? {
  func field(_ block: Block?, _ key: String) -> RouteTLS.Field? {
    block?.secret(key).map { RouteTLS.Field($0, path: block?.child(key) ?? key) }
  }
  let certificate = field(block, "serverCertSecret")
  let key = field(block, "serverKeySecret")
  let clientAuthorities = field(own, "clientCASecret")
  if let certificate, let key {
    return RouteTLS(certificate: certificate, key: key, clientAuthorities: clientAuthorities)
  }
  if certificate != nil { block.error("serverCertSecret", "needs serverKeySecret beside it") }
  if key != nil { block.error("serverKeySecret", "needs serverCertSecret beside it") }
  if clientAuthorities != nil && certificate == nil && key == nil {
    own?.error("clientCASecret", "needs serverCertSecret and serverKeySecret")
  }
  return nil
}

/// The user's `metadata`, which goes into every payload.
func webhookMetadata(_ block: Block) -> [JSON.Member] {
  (block.stringMap("metadata") ?? []).map { .init(key: $0.key, value: .string($0.value)) }
}

/// Says at load what would otherwise fail with the first request.
func checkSecret(
  _ selector: SecretSelector?,
  _ field: String,
  _ host: any SourceHost,
  _ block: Block
) {
  guard let selector else { return }
  do throws(SecretError) {
    _ = try host.secrets.secret(name: selector.name, key: selector.key)
  } catch { block.error(field, "\(error)") }
}
