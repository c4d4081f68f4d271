/// A forge: where things stand in the requests that it sends. A new forge is a new row in
/// `Providers.swift` and, where its pushes look like nobody else's, a shape of them.
struct Provider: Sendable {
  /// The key in manifests and the type of events.
  let kind: String
  let proof: Proof
  /// What happened.
  let event: Place
  /// Which hook was called: one event of a forge may go to several.
  let hook: Place?
  /// What names a delivery, the same for a redelivery; the first place that has something counts.
  let delivery: [Place]
  /// Whether a form with a field `payload` may stand for JSON.
  let takesForms: Bool
  /// Headers that are repeated as members of the body (spec section 1.3).
  let injectedHeaders: [String]
  /// The largest body the forge sends, unless the manifest says otherwise.
  let bodyLimit: Int
  /// How it writes pushes and pull requests.
  let shape: Shape

  init(
    kind: String,
    proof: Proof,
    event: Place,
    hook: Place? = nil,
    delivery: [Place],
    takesForms: Bool = false,
    injectedHeaders: [String] = [],
    bodyLimit: Int = 25 << 20,
    shape: Shape = .none
  ) {
    self.kind = kind
    self.proof = proof
    self.event = event
    self.hook = hook
    self.delivery = delivery
    self.takesForms = takesForms
    self.injectedHeaders = injectedHeaders
    self.bodyLimit = bodyLimit
    self.shape = shape
  }

  enum Place: Sendable {
    case header(String)
    /// A member of the body's object.
    case body(String)
    /// The digest of the body: for forges that name nothing, one body is one event.
    case digest
  }

  /// How a sender shows that it holds the secret.
  enum Proof: Sendable {
    /// HMAC-SHA256 in lower-case hexadecimal digits behind `prefix`; the secret is
    /// `webhookSecret`.
    case code(header: String, prefix: String, covers: Covered)
    /// The secret itself in a header; it is `secretToken`.
    case token(header: String)
    /// User and password (RFC 7617); they are `basicAuth`.
    case basic
    /// Standard Webhooks 1.0.0: code or Ed25519 signature over id, time and body; the secret is
    /// `webhookSecret`.
    case standard
    /// The forge can prove nothing by itself.
    case none
  }

  /// What a code is made over.
  enum Covered: Sendable {
    case body
    /// The JSON, also where it travels inside a form.
    case json
  }
}

/// Lends a row of the table to `ForgeSource`, whose kind must be a type's.
protocol ProviderRow: Sendable {
  static var provider: Provider { get }
}
