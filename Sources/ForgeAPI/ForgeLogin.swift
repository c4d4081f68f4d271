package import Manifest
package import Plugin

/// As whom a forge is called: which secrets, read anew for each call.
package struct ForgeLogin: Sendable {
  package enum Way: Sendable {
    case token(SecretSelector)
    case basic(user: SecretSelector, password: SecretSelector)
    /// A GitHub App, which signs for a token that lasts an hour.
    case app(privateKey: SecretSelector, appID: Int, installationID: Int)
  }

  package let way: Way

  package init(_ way: Way) { self.way = way }

  /// Reads `githubApp: {privateKey, appID, installationID}`; nil where there is none that is whole.
  package init?(app block: Block?) {
    guard let block else { return nil }
    let key = block.secret("privateKey")
    if key == nil, !block.contains("privateKey") {
      block.error("privateKey", "found nothing, expected a secret {name, key}")
    }
    func number(_ field: String) -> Int? {
      let number = block.integer(field, in: 1...Int(Int64.max))
      if number == nil, !block.contains(field) {
        block.error(field, "found nothing, expected a whole number")
      }
      return number
    }
    let (appID, installationID) = (number("appID"), number("installationID"))
    block.finish()
    guard let key, let appID, let installationID else { return nil }
    way = .app(privateKey: key, appID: appID, installationID: installationID)
  }

  /// Reads `{username, password}`; nil where there is none that is whole.
  package init?(basic block: Block?) {
    guard let block else { return nil }
    let (user, password) = (block.secret("username"), block.secret("password"))
    for (field, selector) in [("username", user), ("password", password)]
    where selector == nil && !block.contains(field) {
      block.error(field, "found nothing, expected a secret {name, key}")
    }
    block.finish()
    guard let user, let password else { return nil }
    way = .basic(user: user, password: password)
  }

  package var selectors: [SecretSelector] {
    switch way {
    case .token(let token): [token]
    case .basic(let user, let password): [user, password]
    case .app(let key, _, _): [key]
    }
  }

  /// What is wrong with the secrets; nil when each can be had and can be what it is used as.
  package func problem(_ secrets: any SecretStore) -> String? {
    for selector in selectors {
      do throws(SecretError) {
        let secret = try secrets.secret(name: selector.name, key: selector.key)
        guard case .app = way, !secrets.holdsPlaceholders else { continue }
        let isKey =
          JSONWebToken.signed([], privateKeyPEM: secret.reveal()).map { _ in true } ?? false
        if !isKey {
          return
            "the secret '\(selector.name)/\(selector.key)' is no private key of RSA in PEM form"
        }
      } catch { return "\(error)" }
    }
    return nil
  }
}
