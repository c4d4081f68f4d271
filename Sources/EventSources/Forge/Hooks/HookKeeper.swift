import Cluster
package import ForgeAPI
import HTTP
import HTTPClient
import JSON
import Manifest
package import Plugin

/// The hooks of one entry at its forge: what there is to do, and doing it.
package struct HookKeeper: Sendable {
  package let name: EventSourceName
  package let kind: String
  package let registration: HookRegistration
  /// What the forge signs with; nil: nothing.
  let secret: SecretSelector?
  /// What the hook's URL carries as its `token`; nil: nothing.
  private let queryToken: SecretSelector?
  let host: any SourceHost
  /// nil where nobody may call the forge.
  package let client: ForgeClient?

  /// - Throws: `SecretError` when a certificate cannot be had.
  init(
    _ registration: HookRegistration,
    _ name: EventSourceName,
    kind: String,
    secret: SecretSelector?,
    queryToken: SecretSelector?,
    _ host: any SourceHost
  ) throws(SecretError) {
    self.name = name
    self.kind = kind
    self.registration = registration
    self.secret = secret
    self.queryToken = queryToken
    self.host = host
    client = try registration.access.client(host.secrets) {
      (request) throws(OutboundError) in try await host.send(request)
    }
  }

  /// nil where nothing says how the forge reaches us.
  /// - Throws: `SecretError`.
  func wish() throws(SecretError) -> HookWish? {
    guard let url = registration.url else { return nil }
    var value: [UInt8]?
    if let secret {
      value = try host.secrets.secret(name: secret.name, key: secret.key).reveal()
    }
    var query = ""
    if let queryToken {
      let token = try host.secrets.secret(name: queryToken.name, key: queryToken.key).reveal()
      query = "?token=" + percentEncoded(String(decoding: token, as: UTF8.self))
    }
    var wish = HookWish(url: url + query, events: registration.events, secret: value)
    wish.isActive = registration.isActive
    wish.contentType = registration.contentType
    wish.verifiesTLS = registration.verifiesTLS
    wish.name = registration.name
    wish.triesMax = registration.triesMax
    return wish
  }

  /// What has to be done at `target`, and what is there.
  /// - Parameter known: the id of the hook that was made there before, whatever its URL.
  /// - Throws: `ForgeError`.
  package func plan(
    _ target: HookTarget,
    known: String? = nil
  ) async throws(ForgeError) -> (steps: [HookStep], hooks: [FoundHook]) {
    guard let client, let wish = try wishOrFail() else {
      throw ForgeError(.refused(status: 0), "nobody may call the forge")
    }
    let hooks = try await client.hooks(of: target)
    return (HookStep.steps(wish, hooks, known: known), hooks)
  }

  private func wishOrFail() throws(ForgeError) -> HookWish? {
    do throws(SecretError) { return try wish() } catch {
      throw ForgeError(.later(after: nil), "\(error)")
    }
  }

  /// Carries out one step.
  /// - Returns: the id of the hook that is there then; nil where one was removed.
  /// - Throws: `ForgeError`.
  package func carryOut(
    _ step: HookStep,
    at target: HookTarget
  ) async throws(ForgeError) -> String? {
    guard let client, let wish = try wishOrFail() else {
      throw ForgeError(.refused(status: 0), "nobody may call the forge")
    }
    switch step {
    case .create: return try await client.create(wish, at: target)
    case .update(let id, _):
      try await client.update(id, wish, at: target)
      return id
    case .remove(let id, _):
      try await client.remove(id, at: target)
      return nil
    case .keep(let id): return id
    }
  }

  /// What a person enters at the forge to make the same hook by hand.
  package var settings: [String] {
    let url = registration.url ?? "https://THIS-HOST" + "/… (webhook.url and the endpoint)"
    let secretField = kind == "gitlab" ? "Secret token" : "Secret"
    var lines = ["URL: \(url)"]
    if let queryToken {
      let place = "the contents of the secret \(queryToken.name)/\(queryToken.key)"
      lines.append("    with ?token= behind it and \(place)")
    }
    if let name = registration.name { lines.append("Name: \(name)") }
    switch registration.access.kind {
    case .github, .gitea:
      let form = "application/x-www-form-urlencoded"
      lines.append(
        "Content type: \(registration.contentType == "json" ? "application/json" : form)"
      )
    default: break
    }
    if let secret {
      lines.append("\(secretField): the contents of the secret \(secret.name)/\(secret.key)")
    } else if queryToken == nil {
      lines.append("\(secretField): none (anybody can send events here)")
    }
    lines.append("SSL verification: \(registration.verifiesTLS ? "on" : "off")")
    let events = registration.events.isEmpty ? "push" : registration.events.joined(separator: ", ")
    lines.append("Events: \(events)")
    lines.append("Active: \(registration.isActive ? "yes" : "no")")
    return lines
  }
}

/// An event source that can keep its hooks at a forge.
package protocol HookOwner {
  /// nil where the entry says nothing about hooks.
  var keeper: HookKeeper? { get }
}
