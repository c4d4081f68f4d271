package import HTTPClient
import JSON

/// Why the cluster did not do what it was asked for.
package struct ClusterError: Error, Equatable, CustomStringConvertible {
  package enum Kind: Sendable, Equatable {
    /// Nobody said how to reach a cluster.
    case notConfigured
    /// What was said cannot be used: a kubeconfig, a name, a kind that the cluster does not serve.
    case configuration
    /// No credential could be had.
    case credential
    /// No answer.
    case transport(OutboundError.Kind)
    /// An answer with a status that is no success.
    case status
  }

  package let kind: Kind
  /// The HTTP status; 0 where there was no answer.
  package let code: Int
  /// The `reason` of the Status object, such as `AlreadyExists`; empty where there was none.
  package let reason: String
  package let description: String
  /// How long the server asks to be left alone.
  package let retryAfter: Duration?
  /// `details.causes[].reason`.
  package let causes: [String]

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
    code = 0
    reason = ""
    retryAfter = nil
    causes = []
  }

  /// An answer that is no success. The body of a Kubernetes server is a Status object; that of a
  /// proxy in front of it may be anything (spec section A.9).
  package init(status code: Int, body: [UInt8], retryAfterSeconds: Int? = nil) {
    kind = .status
    self.code = code
    let status = (try? JSON(parsing: body)).flatMap { $0["kind"] == "Status" ? $0 : nil }
    reason = status?["reason"]?.asString ?? ""
    let seconds = retryAfterSeconds ?? status?.at("details", "retryAfterSeconds")?.wholeNumber
    retryAfter = seconds.map { .seconds(max(0, min($0, 3600))) }
    causes =
      (status?.at("details", "causes")?.items ?? []).compactMap { $0["reason"]?.asString }
    let text = status?["message"]?.asString ?? Self.excerpt(body)
    let name = reason.isEmpty ? "status \(code)" : "\(code) \(reason)"
    description = text.isEmpty ? name : "\(name): \(text)"
  }

  /// An answer that is no success, of a server that says so in its own words.
  package init(status code: Int, message: String) {
    kind = .status
    self.code = code
    reason = ""
    retryAfter = nil
    causes = []
    description = "status \(code): \(message)"
  }

  private static func excerpt(_ body: [UInt8]) -> String {
    var text = String(decoding: body.prefix(200), as: UTF8.self)
    if let end = text.firstIndex(where: \.isNewline) { text = String(text[..<end]) }
    return text
  }

  // MARK: What to do about it

  package var isNotFound: Bool { code == 404 }
  /// The kind itself is not served: a 404 without details (spec section A.9).
  package var isAlreadyExists: Bool { code == 409 && reason == "AlreadyExists" }
  /// Somebody else wrote in between.
  package var isConflict: Bool { code == 409 && reason != "AlreadyExists" }
  package var isGone: Bool { code == 410 }

  /// Whether the request may have been carried out although there is no answer that says so.
  package var isUncertain: Bool {
    switch kind {
    case .transport(let kind):
      switch kind {
      case .resolve, .connect, .refusedAddress, .malformedURL, .malformedHeader: false
      default: true
      }
    case .status: code >= 500 && code != 501 && code != 503
    default: false
    }
  }

  /// Whether the same request may work later.
  package var isTransient: Bool {
    switch kind {
    case .credential: true
    case .notConfigured, .configuration: false
    case .transport(let kind): kind != .malformedURL && kind != .malformedHeader
    case .status: code == 401 || code == 429 || code >= 500 || isConflict
    }
  }
}
