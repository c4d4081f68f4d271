package import KafkaClient
package import Manifest

/// How a Kafka cluster is reached: the fields that the `kafka` event source and the `kafka` trigger
/// share (spec sections 2.2, 2.5 and 4.4), and what `signalbox.librdkafka` adds.
package struct KafkaConnection: Sendable {
  /// A property whose value is a secret.
  private struct SecretProperty: Sendable {
    let name: String
    let selector: SecretSelector
    let field: String
  }

  /// `host:port` as written.
  package let brokers: [String]
  private var properties = KafkaSettings()
  private var secrets: [SecretProperty] = []
  /// The property's name by the manifest's field, to put librdkafka's words where they belong.
  private var fields: [String: String] = [:]
  /// A bearer token for OAUTHBEARER.
  private var token: SecretSelector?
  private let role: KafkaSettings.Role

  /// Reads `url`, `tls`, `sasl` and `version` of `block`, and `librdkafka` and `oauthTokenSecret` of
  /// `own`, the block `signalbox`; the caller finishes both.
  package init(_ role: KafkaSettings.Role, from block: Block, own: Block?) {
    self.role = role
    brokers = Self.brokers(block)
    properties["bootstrap.servers"] = brokers.joined(separator: ",")
    properties["client.id"] = "signalbox"
    properties["ssl.endpoint.identification.algorithm"] = "https"
    if block.contains("version") {
      block.report(.info, "version", "is not needed: the brokers say what they speak")
      _ = block.string("version")
    }
    let isEncrypted = tls(block.block("tls"))
    sasl(block.block("sasl"), isEncrypted: isEncrypted, own)
    if own?.contains("oauthTokenSecret") == true, token == nil {
      own?.error("oauthTokenSecret", "needs sasl with mechanism OAUTHBEARER")
    }
  }

  /// Sets a property that a field of the manifest stands for.
  package mutating func set(_ property: String, _ value: String, field: String? = nil) {
    properties[property] = value
    fields[property] = field
  }

  /// Reads `signalbox.librdkafka`, whose properties win; to be called last.
  package mutating func readProperties(_ own: Block?) {
    guard let own, let block = own.block("librdkafka") else { return }
    guard case .mapping(let entries) = block.node.value else { return }
    for entry in entries {
      let name = entry.key
      if let why = refusedKafkaProperty(name) {
        block.error(name, why)
        continue
      }
      fields[name] = "signalbox.librdkafka.\(name)"
      switch entry.node.value {
      case .string(let text): properties[name] = text
      case .number(let text): properties[name] = text
      case .bool(let value): properties[name] = "\(value)"
      case .mapping:
        let value = block.block(name)?.block("valueFrom")
        guard let selector = value?.secret("secretKeyRef") else {
          block.error(name, "found a mapping without valueFrom: {secretKeyRef: {name, key}}")
          continue
        }
        value?.finish()
        add(name, selector, "signalbox.librdkafka.\(name)")
      default:
        block.error(name, "found \(entry.node.kindName), expected text, a number or a boolean")
      }
      if secretKafkaProperties.contains(name), !secrets.contains(where: { $0.name == name }) {
        block.error(name, "found the value itself, expected valueFrom: {secretKeyRef: {name, key}}")
      }
    }
  }

  private mutating func add(_ property: String, _ selector: SecretSelector, _ field: String) {
    secrets.removeAll { $0.name == property }
    secrets.append(SecretProperty(name: property, selector: selector, field: field))
    fields[property] = field
  }

  // MARK: Fields

  private static func brokers(_ block: Block) -> [String] {
    let text = block.requiredString("url")
    let brokers = text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
    for broker in brokers where !isAddress(broker) {
      block.error("url", "found '\(broker)', expected host:port, several with commas between them")
    }
    if brokers.isEmpty && !text.isEmpty {
      block.error("url", "found '\(text)', expected host:port")
    }
    return brokers
  }

  private static func isAddress(_ text: String) -> Bool {
    let isPlain = text.utf8.allSatisfy { byte in
      (0x61...0x7a).contains(byte) || (0x41...0x5a).contains(byte) || (0x30...0x3a).contains(byte)
        || [0x2d, 0x2e, 0x5b, 0x5d, 0x5f].contains(byte)
    }
    guard isPlain, text.utf8.count <= 300 else { return false }
    // A colon inside brackets belongs to an IPv6 address.
    let tail = text.split(separator: "]", omittingEmptySubsequences: false).last ?? ""
    guard let colon = tail.lastIndex(of: ":") else { return true }
    return Int(tail[tail.index(after: colon)...]).map { (1...65535).contains($0) } ?? false
  }

  /// Answers whether connections are encrypted.
  private mutating func tls(_ block: Block?) -> Bool {
    guard let block else { return false }
    if block.bool("insecureSkipVerify") == true {
      block.error(
        "insecureSkipVerify",
        "found true: certificates are always verified; name the authority in caCertSecret"
      )
    }
    let isEnabled = block.bool("enabled")
    let authorities = block.secret("caCertSecret")
    let certificate = block.secret("clientCertSecret")
    let key = block.secret("clientKeySecret")
    if (certificate == nil) != (key == nil) {
      block.error(
        nil,
        "found one of clientCertSecret and clientKeySecret, expected both or none"
      )
    }
    let isEmpty = authorities == nil && certificate == nil && key == nil
    if isEmpty, isEnabled != true, !block.contains("insecureSkipVerify") {
      block.error(
        nil,
        "found none of caCertSecret, clientCertSecret with clientKeySecret, and enabled: true"
      )
    }
    block.finish()
    if let authorities { add("ssl.ca.pem", authorities, "tls.caCertSecret") }
    if let certificate { add("ssl.certificate.pem", certificate, "tls.clientCertSecret") }
    if let key { add("ssl.key.pem", key, "tls.clientKeySecret") }
    properties["security.protocol"] = "ssl"
    return true
  }

  private mutating func sasl(_ block: Block?, isEncrypted: Bool, _ own: Block?) {
    guard let block else { return }
    let mechanism = block.string("mechanism") ?? ""
    let user = block.secret("userSecret")
    let password = block.secret("passwordSecret")
    properties["security.protocol"] = isEncrypted ? "sasl_ssl" : "sasl_plaintext"
    switch mechanism.isEmpty ? "PLAIN" : mechanism {
    case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
      properties["sasl.mechanism"] = mechanism.isEmpty ? "PLAIN" : mechanism
      guard let user, let password else {
        block.error(nil, "found not both of userSecret and passwordSecret")
        break
      }
      add("sasl.username", user, "sasl.userSecret")
      add("sasl.password", password, "sasl.passwordSecret")
      if mechanism.hasPrefix("SCRAM") == false, !isEncrypted {
        block.warning("mechanism", "PLAIN without tls sends the password as it is")
      }
    case "OAUTHBEARER":
      properties["sasl.mechanism"] = "OAUTHBEARER"
      token = own?.secret("oauthTokenSecret")
      // Handed to whoever makes tokens; here it tells clients apart that show different ones.
      if let token { properties["sasl.oauthbearer.config"] = "\(token.name)/\(token.key)" }
      if let user { add("sasl.oauthbearer.client.id", user, "sasl.userSecret") }
      if let password { add("sasl.oauthbearer.client.secret", password, "sasl.passwordSecret") }
      if user != nil { properties["sasl.oauthbearer.method"] = "oidc" }
      if token == nil && user == nil {
        block.error(
          "mechanism",
          "OAUTHBEARER needs signalbox.oauthTokenSecret, or userSecret and passwordSecret with "
            + "signalbox.librdkafka: {sasl.oauthbearer.token.endpoint.url: ...}"
        )
      }
    case "GSSAPI": block.error("mechanism", "GSSAPI is not supported yet")
    default:
      block.error(
        "mechanism",
        "found '\(mechanism)', expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
      )
    }
    block.finish()
  }

  // MARK: In force

  /// All properties with their secrets.
  /// - Throws: `SecretError`.
  package func settings(_ store: any SecretStore) throws(SecretError) -> KafkaSettings {
    var settings = properties
    for property in secrets {
      let secret = try store.secret(name: property.selector.name, key: property.selector.key)
      settings[property.name] = String(decoding: secret.reveal(), as: UTF8.self)
    }
    return settings
  }

  /// Every secret that is sent or shown to brokers, to be masked in what comes back.
  package func secretValues(_ store: any SecretStore) -> [[UInt8]] {
    let selectors =
      secrets.filter { $0.name != "ssl.ca.pem" && $0.name != "ssl.certificate.pem" }
      .map(\.selector) + [token].compactMap { $0 }
    return selectors.compactMap { try? store.secret(name: $0.name, key: $0.key).reveal() }
  }

  /// Says at load what librdkafka does not take, with certificates and keys.
  package func check(_ store: any SecretStore, _ block: Block) {
    var isWhole = true
    for property in secrets {
      do throws(SecretError) {
        _ = try store.secret(name: property.selector.name, key: property.selector.key)
      } catch {
        block.error(property.field, "\(error)")
        isWhole = false
      }
    }
    if let token, (try? store.secret(name: token.name, key: token.key)) == nil {
      block.error("signalbox.oauthTokenSecret", "no secret '\(token.name)/\(token.key)'")
    }
    if store.holdsPlaceholders { return }
    guard isWhole, !block.diagnostics.hasErrors, let settings = try? settings(store) else { return }
    do throws(KafkaSettingError) { try settings.check(as: role) } catch {
      block.error(error.property.flatMap { fields[$0] }, "\(error)")
    }
  }

  /// A token for a client that asks for one.
  /// - Throws: `SecretError` or `KafkaTokenError`.
  package func token(_ store: any SecretStore) throws -> KafkaToken {
    guard let token else { throw KafkaTokenError(description: "no token is configured") }
    let secret = try store.secret(name: token.name, key: token.key)
    return try KafkaToken(jsonWebToken: String(decoding: secret.reveal(), as: UTF8.self))
  }
}
