import HTTPClient
package import Manifest

/// The fields of an `http` trigger (spec section 4.4).
package struct HTTPSpec: ManifestBlock, Sendable {
  let url: String
  let method: OutboundRequest.Method
  let headers: [(name: String, value: String)]
  let secureHeaders: [(name: String, selector: SecretSelector)]
  let username: SecretSelector?
  let password: SecretSelector?
  let timeout: Duration
  let tls: TLSFields?

  /// Where certificates are.
  struct TLSFields: Sendable, Equatable {
    let authorities: SecretSelector?
    let certificate: SecretSelector?
    let key: SecretSelector?
  }

  package init(from block: Block) {
    if !block.contains("url"), let old = block.string("serverURL"), !old.isEmpty {
      block.warning("serverURL", "is the old name of 'url' and is read as that")
      url = old
    } else {
      url = block.requiredString("url")
    }
    let word = block.string("method") ?? ""
    let method = OutboundRequest.Method(rawValue: word.isEmpty ? "POST" : word)
    if method == nil {
      let known = OutboundRequest.Method.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("method", "found '\(word)', expected one of \(known)")
    }
    self.method = method ?? .post
    var headers = (block.stringMap("headers") ?? []).map { (name: $0.key, value: $0.value) }
    if let host = block.string("host"), !host.isEmpty { headers.append(("Host", host)) }
    self.headers = headers
    secureHeaders = block.blocks("secureHeaders").compactMap(Self.secureHeader)
    let basic = block.block("basicAuth")
    username = basic?.secret("username")
    password = basic?.secret("password")
    basic?.finish()
    timeout = .seconds(
      block.integer("timeout", in: 0...86_400).flatMap { $0 == 0 ? nil : $0 } ?? 60
    )
    tls = block.block("tls").map(Self.tls)
    block.accept("payload", "parameters", "dynamicHeaders")
    block.finish()
    checkHeaders(block)
  }

  private static func secureHeader(_ block: Block) -> (name: String, selector: SecretSelector)? {
    let name = block.requiredString("name")
    let from = block.block("valueFrom")
    from?.notSupportedYet("configMapKeyRef")
    let selector = from?.secret("secretKeyRef")
    if selector == nil, from?.contains("configMapKeyRef") != true {
      block.error("valueFrom", "found nothing, expected secretKeyRef: {name, key}")
    }
    from?.finish()
    block.finish()
    return selector.map { (name, $0) }
  }

  private static func tls(_ block: Block) -> TLSFields {
    if block.bool("insecureSkipVerify") == true {
      block.error(
        "insecureSkipVerify",
        "found true: certificates are always verified; name the authority in caCertSecret"
      )
    }
    let fields = TLSFields(
      authorities: block.secret("caCertSecret"),
      certificate: block.secret("clientCertSecret"),
      key: block.secret("clientKeySecret")
    )
    if (fields.certificate == nil) != (fields.key == nil) {
      block.error(nil, "found one of clientCertSecret and clientKeySecret, expected both or none")
    }
    block.finish()
    return fields
  }

  private func checkHeaders(_ block: Block) {
    for (name, value) in headers {
      if let problem = OutboundRequest.problem(inHeader: name, value: value) {
        block.error("headers", problem)
      }
      if Self.own.contains(name.lowercased()) {
        block.error("headers", "found '\(name)', which every request carries by itself")
      }
    }
    for (name, _) in secureHeaders {
      if let problem = OutboundRequest.problem(inHeader: name, value: "") {
        block.error("secureHeaders", problem)
      }
      if Self.own.contains(name.lowercased()) {
        block.error("secureHeaders", "found '\(name)', which every request carries by itself")
      }
    }
  }

  private static let own: Set<String> = ["idempotency-key", "signalbox-cause"]

  /// The selectors of all secrets it sends.
  var secrets: [(field: String, selector: SecretSelector)] {
    var found = secureHeaders.map { (field: "secureHeaders", selector: $0.selector) }
    if let username { found.append(("basicAuth.username", username)) }
    if let password { found.append(("basicAuth.password", password)) }
    if let authorities = tls?.authorities { found.append(("tls.caCertSecret", authorities)) }
    if let certificate = tls?.certificate { found.append(("tls.clientCertSecret", certificate)) }
    if let key = tls?.key { found.append(("tls.clientKeySecret", key)) }
    return found
  }

  /// What senders of events may choose.
  static func refusal(ofParameter destination: String) -> String? {
    if destination == "url" || destination == "method" { return nil }
    if destination.hasPrefix("headers."), destination.utf8.count > 8 { return nil }
    return "found '\(destination)', expected url, method or headers.NAME"
  }
}
