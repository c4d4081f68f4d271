import Event
import HTTPClient
import JSON
package import Manifest
package import Plugin
import Posix

/// `http`: one request to somebody else's server (spec section 4.4). Each carries the firing's id
/// as `Idempotency-Key`, so a repetition after a crash can be told from a second effect.
package struct HTTPTrigger: Trigger {
  package static let kind = "http"
  package static let concurrency = 16
  package static let runsPrograms = false

  /// How much of an answer is looked at, and how much of it is stored.
  private static let bodyLimit = 64 << 10
  private static let excerptBytes = 1024

  private let spec: HTTPSpec
  private let host: any TriggerHost
  /// Whether an event chose where the request goes.
  private let isTargetChosen: Bool

  package static func refusal(ofParameter destination: String) -> String? {
    HTTPSpec.refusal(ofParameter: destination)
  }

  package init(_ spec: HTTPSpec, original: HTTPSpec?, host: any TriggerHost, _ block: Block) {
    self.spec = spec
    self.host = host
    var isTargetChosen = false
    if !spec.url.isEmpty {
      do throws(OutboundError) {
        let target = try OutboundURL(parsing: spec.url)
        if let original, original.url != spec.url {
          if target.hasUser { block.error("url", "an event chose a URL with a user in it") }
          isTargetChosen =
            (try? OutboundURL(parsing: original.url))?.hasSameOrigin(as: target) != true
        }
      } catch { block.error("url", "\(error)") }
    }
    self.isTargetChosen = isTargetChosen
    for (field, selector) in spec.secrets {
      do throws(SecretError) {
        _ = try host.secrets.secret(name: selector.name, key: selector.key)
      } catch { block.error(field, "\(error)") }
    }
  }

  package func fire(_ firing: Firing) async -> Outcome {
    let mask = SecretMask(secretValues())
    let began = MonotonicTime.now()
    do {
      let response = try await host.send(try request(firing))
      return outcome(of: response, firing, mask, MonotonicTime.now() - began)
    } catch let error as OutboundError {
      return failed(error, mask)
    } catch {
      return .retry(after: nil, why: "\(error)", result: .null)
    }
  }

  private func request(_ firing: Firing) throws -> OutboundRequest {
    // Later ones replace earlier ones of the same name.
    var headers: [(name: String, value: String)] = []
    func set(_ name: String, _ value: String) {
      headers.removeAll { $0.name.lowercased() == name.lowercased() }
      headers.append((name, value))
    }
    if firing.payload?.first == 0x7b { set("Content-Type", "application/json") }
    for (name, value) in spec.headers { set(name, value) }
    for (name, selector) in spec.secureHeaders { set(name, try text(selector)) }
    if spec.username != nil || spec.password != nil {
      let user = try spec.username.map(text) ?? ""
      let password = try spec.password.map(text) ?? ""
      set("Authorization", "Basic " + base64(Array("\(user):\(password)".utf8)))
    }
    set("Idempotency-Key", firing.id.text)
    set("Signalbox-Cause", host.causeHeader(firing))
    var request = OutboundRequest(
      spec.method,
      spec.url,
      headers: headers,
      body: firing.payload,
      rule: isTargetChosen ? .checked(allow: host.allowOutbound) : .trusted,
      timeout: spec.timeout,
      bodyLimit: Self.bodyLimit
    )
    if let tls = spec.tls {
      request.tls = OutboundTLS(
        authorities: try bytes(tls.authorities),
        certificate: try bytes(tls.certificate),
        key: try bytes(tls.key)
      )
    }
    return request
  }

  private func text(_ selector: SecretSelector) throws(SecretError) -> String {
    String(decoding: try bytes(selector), as: UTF8.self)
  }

  private func bytes(_ selector: SecretSelector?) throws(SecretError) -> [UInt8] {
    guard let selector else { return [] }
    return try host.secrets.secret(name: selector.name, key: selector.key).reveal()
  }

  private func secretValues() -> [[UInt8]] {
    var values = spec.secrets.compactMap { try? bytes($0.selector) }
    if let user = spec.username, let password = spec.password,
      let user = try? bytes(user), let password = try? bytes(password)
    {
      values.append(Array(base64(user + [0x3a] + password).utf8))
    }
    return values
  }

  private func outcome(
    of response: OutboundResponse,
    _ firing: Firing,
    _ mask: SecretMask,
    _ duration: Duration
  ) -> Outcome {
    let text = mask.applied(to: String(decoding: response.body, as: UTF8.self))
    let result: JSON = [
      "status": JSON(response.status),
      "milliseconds": JSON(Int(duration.wholeNanoseconds / 1_000_000)),
      "body": .string(excerpt(text)),
    ]
    let isGood =
      firing.statusAllow?.contains(response.status) ?? (200...299).contains(response.status)
    if isGood { return .done(result: result) }
    var why = "\(spec.method.rawValue) was answered with status \(response.status)"
    if (300...399).contains(response.status) { why += "; redirects are not followed" }
    let after = response.header("Retry-After").flatMap {
      retryAfter($0, now: wallClockNanoseconds() / 1_000_000_000)
    }
    return .retry(after: after, why: why, result: result)
  }

  /// The first characters, as many as fit.
  private func excerpt(_ text: String) -> String {
    if text.utf8.count <= Self.excerptBytes { return text }
    var part = Substring(text.unicodeScalars.prefix(Self.excerptBytes))
    while part.utf8.count > Self.excerptBytes { part.removeLast() }
    return String(part) + "..."
  }

  private func failed(_ error: OutboundError, _ mask: SecretMask) -> Outcome {
    let why = mask.applied(to: error.description)
    switch error.kind {
    case .malformedURL, .malformedHeader, .refusedAddress: return .reject(why: why, result: .null)
    default: return .retry(after: nil, why: why, result: .null)
    }
  }
}
