import Cluster
package import HTTPClient
package import JSON
import Manifest
package import Plugin
import Posix
import Synchronization

/// Calls the API of one forge as one user.
package struct ForgeClient: Sendable {
  package typealias Send =
    @Sendable (OutboundRequest) async throws(OutboundError) -> OutboundResponse

  package let kind: ForgeKind
  /// Without a slash at its end.
  package let root: String
  private let login: ForgeLogin
  private let secrets: any SecretStore
  private let tls: OutboundTLS?
  private let tokens = InstallationTokens()
  private let send: Send

  /// Answers are lists of a hundred hooks or deliveries at the most.
  private static let bodyLimit = 8 << 20

  /// - Parameter root: as `ForgeKind.root(of:)` gives it, or the public one.
  package init(
    _ kind: ForgeKind,
    root: String,
    _ login: ForgeLogin,
    secrets: any SecretStore,
    tls: OutboundTLS? = nil,
    send: @escaping Send
  ) {
    self.kind = kind
    self.root = root
    self.login = login
    self.secrets = secrets
    self.tls = tls
    self.send = send
  }

  /// One call that the forge did not refuse.
  /// - Parameters:
  ///   - path: below the root, with its query; or an absolute address below the root, as lists give
  ///     it for their next page.
  ///   - key: sent as `Idempotency-Key`.
  /// - Throws: `ForgeError`.
  package func call(
    _ method: OutboundRequest.Method,
    _ path: String,
    _ body: JSON? = nil,
    key: String? = nil,
    timeout: Duration = .seconds(30)
  ) async throws(ForgeError) -> ForgeAnswer {
    let (header, mask) = try await proof()
    var headers = kind.headers + [header]
    if let key { headers.append(("Idempotency-Key", key)) }
    return try await call(method, path, body, headers, mask, timeout)
  }

  /// The header that shows who calls, and what must not be told of it.
  private func proof() async throws(ForgeError) -> (
    header: (name: String, value: String), mask: SecretMask
  ) {
    switch login.way {
    case .token(let selector):
      let token = try bytes(selector)
      return (kind.header(token: String(decoding: token, as: UTF8.self)), SecretMask([token]))
    case .basic(let user, let password):
      let word = try bytes(password)
      let pair = Base64.encode((try bytes(user) + [0x3a] + word)[...])
      return (
        ("Authorization", "Basic " + String(decoding: pair, as: UTF8.self)),
        SecretMask([word, pair])
      )
    case .app(let selector, let appID, let installationID):
      let pem = try bytes(selector)
      let token = try await installationToken(pem, appID, installationID)
      return (kind.header(token: token), SecretMask([pem, Array(token.utf8)]))
    }
  }

  private func bytes(_ selector: SecretSelector) throws(ForgeError) -> [UInt8] {
    do throws(SecretError) {
      return try secrets.secret(name: selector.name, key: selector.key).reveal()
    } catch { throw ForgeError(.later(after: nil), "\(error)") }
  }

  private func call(
    _ method: OutboundRequest.Method,
    _ path: String,
    _ body: JSON?,
    _ headers: [(name: String, value: String)],
    _ mask: SecretMask,
    _ timeout: Duration
  ) async throws(ForgeError) -> ForgeAnswer {
    var request = OutboundRequest(
      method,
      try address(of: path),
      headers: headers + [("User-Agent", "signalbox")]
        + (body == nil ? [] : [("Content-Type", "application/json")]),
      body: body?.encoded(),
      rule: .trusted,
      timeout: max(timeout, .milliseconds(1)),
      bodyLimit: Self.bodyLimit
    )
    request.tls = tls
    let response: OutboundResponse
    do throws(OutboundError) { response = try await send(request) } catch {
      let why = mask.applied(to: error.description)
      switch error.kind {
      case .malformedURL, .malformedHeader, .refusedAddress:
        throw ForgeError(.refused(status: 0), why)
      default: throw ForgeError(.later(after: nil), why)
      }
    }
    if (200...299).contains(response.status) { return ForgeAnswer(response) }
    throw ForgeError(response, "\(method.rawValue) \(path.prefix { $0 != "?" })", mask)
  }

  /// The address of a call: never outside the root, whatever a list says of its next page.
  private func address(of path: String) throws(ForgeError) -> String {
    if path.hasPrefix("/") { return root + path }
    guard path.hasPrefix(root + "/") else {
      throw ForgeError(.refused(status: 0), "the forge points to a page on another server")
    }
    return path
  }

  /// A token of a GitHub App's installation, kept until five minutes before its end.
  private func installationToken(
    _ pem: [UInt8],
    _ appID: Int,
    _ installationID: Int
  ) async throws(ForgeError) -> String {
    let now = wallClockNanoseconds() / 1_000_000_000
    if let token = tokens.token(at: now, for: pem) { return token }
    // A clock that is a minute ahead of GitHub's would make the token not valid yet.
    let claims: [JSON.Member] = [
      .init(key: "iat", value: JSON(Int(now) - 60)), .init(key: "exp", value: JSON(Int(now) + 540)),
      .init(key: "iss", value: .string("\(appID)")),
    ]
    guard let proof = JSONWebToken.signed(claims, privateKeyPEM: pem) else {
      throw ForgeError(.refused(status: 0), "the app's private key is no key of RSA in PEM form")
    }
    let answer = try await call(
      .post,
      "/app/installations/\(installationID)/access_tokens",
      [:],
      kind.headers + [("Authorization", "Bearer " + proof)],
      SecretMask([pem, Array(proof.utf8)]),
      .seconds(30)
    )
    guard let token = answer.body["token"]?.asString, !token.isEmpty else {
      throw ForgeError(.later(after: nil), "the forge gave no token to the app")
    }
    // They last an hour, of which five minutes are left to calls under way.
    tokens.keep(token, until: now + 3300, for: pem)
    return token
  }
}

/// The last token of an app's installation.
private final class InstallationTokens: Sendable {
  private let last = Mutex<(token: String, end: Int64, key: [UInt8])?>(nil)

  /// - Parameter now: seconds since 1970.
  func token(at now: Int64, for key: [UInt8]) -> String? {
    last.withLock { last in
      last.flatMap { $0.key == key && now < $0.end ? $0.token : nil }
    }
  }

  func keep(_ token: String, until end: Int64, for key: [UInt8]) {
    last.withLock { $0 = (token, end, key) }
  }
}

/// What a forge answered to a call that it carried out.
package struct ForgeAnswer: Sendable {
  package let status: Int
  /// `null` where there was none.
  package let body: JSON
  /// The address of the list's next page; nil on the last.
  package let next: String?
  /// How many calls are left until the forge refuses them; nil where it does not say.
  package let callsLeft: Int?

  init(_ response: OutboundResponse) {
    status = response.status
    // Gerrit puts a line before it that no script can be made of.
    let isGuarded = response.body.starts(with: Self.guardLine)
    let json = isGuarded ? Array(response.body.dropFirst(Self.guardLine.count)) : response.body
    body = (try? JSON(parsing: json)) ?? .null
    callsLeft =
      ["X-RateLimit-Remaining", "RateLimit-Remaining"].lazy
      .compactMap { response.header($0) }.compactMap { Int($0) }.first
    next = response.header("Link").flatMap(Self.next)
  }

  private static let guardLine = Array(")]}'\n".utf8)

  /// The target of `rel="next"` (RFC 8288).
  private static func next(in header: String) -> String? {
    for part in header.split(separator: ",") {
      let fields = part.split(separator: ";").map { $0.trimmed }
      guard let target = fields.first, target.hasPrefix("<"), target.hasSuffix(">"),
        fields.dropFirst().contains(where: { $0 == "rel=\"next\"" || $0 == "rel=next" })
      else { continue }
      return String(target.dropFirst().dropLast())
    }
    return nil
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var text = drop { $0 == " " }
    while text.last == " " { text.removeLast() }
    return text
  }
}

/// Why a call was not carried out. The text holds no secret.
package struct ForgeError: Error, Equatable, CustomStringConvertible {
  package enum Kind: Equatable, Sendable {
    /// Another attempt may succeed, not before `after` where the forge said so.
    case later(after: Duration?)
    /// It will be refused again; status 0 where nothing was sent.
    case refused(status: Int)
  }

  package let kind: Kind
  package let description: String

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// Of an answer with any status but success.
  init(_ response: OutboundResponse, _ call: String, _ mask: SecretMask) {
    var why = "\(call) was answered with status \(response.status)"
    if let said = Self.message(response.body) { why += ": \(mask.applied(to: said))" }
    if (300...399).contains(response.status) { why += "; redirects are not followed" }
    let now = wallClockNanoseconds() / 1_000_000_000
    var wait = response.header("Retry-After").flatMap { retryAfter($0, now: now) }
    let isSpent =
      response.header("X-RateLimit-Remaining") == "0"
      || response.header("RateLimit-Remaining") == "0"
    if wait == nil, isSpent {
      let reset = response.header("X-RateLimit-Reset") ?? response.header("RateLimit-Reset")
      wait = reset.flatMap { Int64($0) }.map { .seconds(max(1, min($0 - now, 3600))) }
    }
    switch response.status {
    case 429, 500...599, 408, 409: kind = .later(after: wait)
    // GitHub says 403 to a client that has called too often.
    case 403 where wait != nil || isSpent: kind = .later(after: wait)
    default: kind = .refused(status: response.status)
    }
    description = why
  }

  private static let messageBytesMax = 300

  /// What the forge says went wrong, wherever it says it.
  private static func message(_ body: [UInt8]) -> String? {
    guard let json = try? JSON(parsing: body) else { return nil }
    let places: [JSON?] = [
      json["message"], json.at("error", "message"), json["error"], json["error_description"],
      json["errors"]?.items.first?["message"],
    ]
    for case let place? in places {
      let text = place.asString ?? (place.members.isEmpty ? nil : place.text)
      if let text, !text.isEmpty {
        return String(decoding: text.utf8.prefix(messageBytesMax), as: UTF8.self)
      }
    }
    return nil
  }
}

/// The owner and name of a repository as part of a path: each part escaped, slashes kept.
func pathSegments(_ fullName: String) -> String {
  fullName.split(separator: "/", omittingEmptySubsequences: false)
    .map { percentEncoded(String($0)) }.joined(separator: "/")
}

/// Whether it can name a repository: parts between slashes that are neither empty nor lead up.
package func isRepositoryName(_ text: String) -> Bool {
  let parts = text.split(separator: "/", omittingEmptySubsequences: false)
  return parts.count >= 2 && text.utf8.count <= 1024
    && parts.allSatisfy { part in
      !part.isEmpty && part != "." && part != ".."
        && part.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != 0x3f && $0 != 0x23 }
    }
}
