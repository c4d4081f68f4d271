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
  package let bodyLimit: Int
  let metadata: [JSON.Member]

  /// Reads the fields from `block`, which the caller finishes.
  init(from block: Block, bodyLimit: Int) {
    let endpoint = block.requiredString("endpoint")
    self.endpoint = endpoint.hasPrefix("/") ? endpoint : "/" + endpoint
    let text = block.requiredString("port")
    port = Int(text).flatMap { (1...65535).contains($0) ? $0 : nil } ?? 0
    if port == 0 && !text.isEmpty {
      block.error("port", "found '\(text)', expected a port from 1 to 65535 in quotes")
    }
    let method = block.string("method") ?? ""
    self.method = method.isEmpty ? "POST" : method
    if !["GET", "POST"].contains(self.method) {
      block.error("method", "found '\(method)', expected GET or POST")
    }
    authSecret = block.secret("authSecret")
    self.bodyLimit = block.integer("maxPayloadSize", in: 1...(64 << 20)) ?? bodyLimit
    metadata = webhookMetadata(block)
    _ = block.string("url")
    block.notSupportedYet("serverCertSecret", "serverKeySecret")
  }
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
