import Event
import HTTP
import JSON
import Manifest
import Plugin
import TLS

/// Which secrets an entry asks its senders for. Each is checked against the current and the
/// previous value; whatever is wrong with a proof, the answer is the same.
struct ProofCheck: Sendable {
  let proof: Provider.Proof
  /// `webhookSecret` or `secretToken`.
  let secret: SecretSelector?
  let basicUser: SecretSelector?
  let basicPassword: SecretSelector?
  /// `authSecret`: a bearer token, beside the forge's own proof.
  let bearer: SecretSelector?
  /// `signalbox.queryToken`: the query's field `token`, for forges that can send nothing else.
  let queryToken: SecretSelector?
  /// How far a signed time may be from ours.
  let tolerance: Duration

  /// Whether senders have to show anything.
  var isAsked: Bool { secret != nil || basicUser != nil || bearer != nil || queryToken != nil }

  enum Verdict {
    /// - Parameter usedPrevious: whether only the previous value of a secret fits.
    case holds(usedPrevious: Bool)
    case refused
    /// A secret cannot be had, or is none of the proof's kind.
    case broken
  }

  /// What the head alone shows. `holds` where nothing of it is asked for.
  func check(_ head: RequestHead, _ secrets: any SecretStore) -> Verdict {
    var verdicts: [Verdict] = []
    if let bearer {
      verdicts.append(
        check(bearer, secrets) { constantTimeEquals($0, Self.bearerToken(head.headers)) }
      )
    }
    if let queryToken {
      let sent = Self.queryToken(head.query)
      verdicts.append(check(queryToken, secrets) { constantTimeEquals($0, sent) })
    }
    if case .token(let header) = proof, let secret {
      let sent = Self.only(header, head.headers)
      verdicts.append(check(secret, secrets) { constantTimeEquals($0, sent) })
    }
    if let basicUser, let basicPassword {
      verdicts.append(basic(basicUser, basicPassword, head.headers, secrets))
    }
    return Self.all(verdicts)
  }

  /// How a body's signature is to be checked.
  enum Signature {
    /// A code over the body as it is sent, which can be computed while it arrives.
    case code(sent: [UInt8], live: [Secret])
    /// What was sent is no code, so none that the body could have.
    case refused
    /// Once the body is there, by `check(_:json:now:_:)`; also where there is nothing to check.
    case wholeBody
  }

  /// What the head says about the signature of the body.
  func signature(in head: RequestHead, isForm: Bool, _ secrets: any SecretStore) -> Signature {
    guard case .code(let header, let prefix, let covers) = proof, let secret else {
      return .wholeBody
    }
    // What is inside a form is known when all of it has come.
    if isForm, case .json = covers { return .wholeBody }
    // A secret that cannot be had is reported with the others.
    guard let live = try? secrets.liveSecrets(name: secret.name, key: secret.key) else {
      return .wholeBody
    }
    let text = String(decoding: Self.only(header, head.headers), as: UTF8.self)
    guard text.hasPrefix(prefix), let sent = bytes(hexadecimal: text.dropFirst(prefix.count)),
      sent.count == SHA256.byteCount
    else { return .refused }
    return .code(sent: sent, live: live)
  }

  /// What needs the body. `json` is the JSON where it came in a form.
  func check(
    _ request: Request,
    json: [UInt8]?,
    now: Timestamp,
    _ secrets: any SecretStore
  ) -> Verdict {
    guard let secret else { return .holds(usedPrevious: false) }
    switch proof {
    case .code(let header, let prefix, let covers):
      let sent = Self.only(header, request.head.headers)
      let covered = if case .json = covers { json ?? request.body } else { request.body }
      return check(secret, secrets) { key in
        let code = HMACKey(key).code(covered)
        return constantTimeEquals(Array((prefix + hexadecimal(code)).utf8), sent)
      }
    case .standard: return standard(secret, request, now, secrets)
    case .token, .basic, .none: return .holds(usedPrevious: false)
    }
  }

  private func standard(
    _ secret: SecretSelector,
    _ request: Request,
    _ now: Timestamp,
    _ secrets: any SecretStore
  ) -> Verdict {
    let headers = request.head.headers
    let id = Self.only("webhook-id", headers)
    let time = Self.only("webhook-timestamp", headers)
    let signature = String(decoding: Self.only("webhook-signature", headers), as: UTF8.self)
    let seconds = Int64(String(decoding: time, as: UTF8.self))
    let isFresh = seconds.map { seconds in
      let (age, isOverflow) = (now.nanoseconds / 1_000_000_000).subtractingReportingOverflow(
        seconds
      )
      return !isOverflow && age.magnitude <= tolerance.components.seconds.magnitude
    }
    let message = id + [0x2e] + time + [0x2e] + request.body
    var isUsable = true
    let verdict = check(secret, secrets) { text in
      guard let key = StandardSignature.Key(text) else {
        isUsable = false
        return false
      }
      return StandardSignature.holds(signature, over: message, key)
    }
    if case .refused = verdict, !isUsable { return .broken }
    // A dot in an id would let its sender shift bytes between id, time and body.
    guard !id.isEmpty, !id.contains(0x2e), isFresh == true else { return .refused }
    return verdict
  }

  private func basic(
    _ user: SecretSelector,
    _ password: SecretSelector,
    _ headers: Headers,
    _ secrets: any SecretStore
  ) -> Verdict {
    let name: [UInt8]
    do throws(SecretError) {
      name = try secrets.secret(name: user.name, key: user.key).reveal()
    } catch { return .broken }
    let sent = Self.only("Authorization", headers)
    return check(password, secrets) { password in
      let credentials = Base64.encode((name + [0x3a] + password)[...])
      return constantTimeEquals(Array("Basic ".utf8) + credentials, sent)
    }
  }

  /// Every live value is tried, so that time does not tell which one fits.
  private func check(
    _ selector: SecretSelector,
    _ secrets: any SecretStore,
    _ fits: ([UInt8]) -> Bool
  ) -> Verdict {
    let live: [Secret]
    do throws(SecretError) {
      live = try secrets.liveSecrets(name: selector.name, key: selector.key)
    } catch { return .broken }
    let fitting = live.map { fits($0.reveal()) }
    guard let first = fitting.firstIndex(of: true) else { return .refused }
    return .holds(usedPrevious: first > 0)
  }

  private static func all(_ verdicts: [Verdict]) -> Verdict {
    var usedPrevious = false
    var isRefused = false
    for verdict in verdicts {
      switch verdict {
      case .broken: return .broken
      case .refused: isRefused = true
      case .holds(let previous): usedPrevious = usedPrevious || previous
      }
    }
    return isRefused ? .refused : .holds(usedPrevious: usedPrevious)
  }

  // MARK: What was sent

  /// The value of a header that came once; empty otherwise, which fits nothing.
  private static func only(_ name: String, _ headers: Headers) -> [UInt8] {
    let values = headers.values(name)
    return values.count == 1 ? Array(values[0].utf8) : []
  }

  static func bearerToken(_ headers: Headers) -> [UInt8] {
    let sent = String(decoding: only("Authorization", headers), as: UTF8.self)
    return sent.hasPrefix("Bearer ") ? Array(sent.dropFirst(7).utf8) : []
  }

  private static func queryToken(_ query: String) -> [UInt8] {
    guard let field = formFields(query).first(where: { $0.key == "token" }),
      case .array(let values) = field.value, values.count == 1, case .string(let text) = values[0]
    else { return [] }
    return Array(text.utf8)
  }
}
