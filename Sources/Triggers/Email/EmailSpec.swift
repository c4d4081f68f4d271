import HTTPClient
package import Manifest

/// The fields of an `email` trigger (spec section 4.4).
package struct EmailSpec: ManifestBlock, Sendable {
  /// Empty: the server is not told who sends.
  let username: String
  let password: SecretSelector?
  let host: String
  let port: Int
  let from: String
  let to: [String]
  let subject: String
  let body: String
  let encryption: OutboundMail.Encryption
  /// Whom to trust in place of the system's authorities.
  let authorities: SecretSelector?
  let timeout: Duration

  package init(from block: Block) {
    username = block.string("username") ?? ""
    password = block.secret("smtpPassword")
    host = block.requiredString("host")
    let port = block.integer("port", in: 0...65_535) ?? 0
    from = block.string("from") ?? ""
    to = block.strings("to") ?? []
    subject = block.string("subject") ?? ""
    body = block.string("body") ?? ""
    let own = block.block("signalbox")
    let word = own?.string("encryption") ?? ""
    let known = OutboundMail.Encryption(rawValue: word)
    if known == nil, !word.isEmpty {
      let words = OutboundMail.Encryption.allCases.map(\.rawValue).joined(separator: ", ")
      own?.error("encryption", "found '\(word)', expected one of \(words)")
    }
    encryption = known ?? (port == 465 ? .tls : .startTLS)
    self.port = port == 0 ? (encryption == .tls ? 465 : 587) : port
    authorities = own?.secret("caCertSecret")
    timeout = .seconds(own?.integer("timeout", in: 1...3600) ?? 60)
    own?.finish()
    block.accept("parameters")
    block.finish()
    if host.utf8.contains(where: { $0 <= 0x20 || "/@:?#[]\\".utf8.contains($0) || $0 >= 0x7f }) {
      block.error("host", "found '\(host)', expected the name or the IPv4 address of a server")
    }
    if username.isEmpty != (password == nil) {
      block.error(nil, "found one of username and smtpPassword, expected both or none")
    }
    if encryption == .none, password != nil {
      block.error("signalbox.encryption", "found none, expected TLS where a password is sent")
    }
  }

  var secrets: [(field: String, selector: SecretSelector)] {
    var found: [(String, SecretSelector)] = []
    if let password { found.append(("smtpPassword", password)) }
    if let authorities { found.append(("signalbox.caCertSecret", authorities)) }
    return found
  }

  /// Whether both go to the same server, as the same sender to it, in the same way.
  func hasSameServer(as other: EmailSpec) -> Bool {
    host == other.host && port == other.port && username == other.username
      && password == other.password && encryption == other.encryption
      && authorities == other.authorities
  }
}
