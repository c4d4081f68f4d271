import HTTPClient
package import Manifest
package import Plugin

/// Where a forge is and as whom it is called, by the same fields wherever a manifest says it:
///
///     github           apiToken | githubApp: {privateKey, appID, installationID}, githubBaseURL
///     gitlab, gitea    accessToken, gitlabBaseURL | giteaBaseURL
///     bitbucket        auth: {oauthToken | basic: {username, password}}, bitbucketBaseURL
///     bitbucketserver  accessToken, bitbucketserverBaseURL
///     gerrit           auth: {username, password}, gerritBaseURL
///     all              tls: {caCertSecret, clientCertSecret, clientKeySecret}
package struct ForgeAccess: Sendable {
  package let kind: ForgeKind
  /// nil where the manifest says neither where it is nor can that be known.
  package let root: String?
  /// nil where nobody may call it.
  package let login: ForgeLogin?
  /// The field that `login` stands in.
  package let loginField: String
  let authorities: SecretSelector?
  let certificate: SecretSelector?
  let key: SecretSelector?

  init(
    _ kind: ForgeKind,
    root: String,
    _ login: ForgeLogin,
    authorities: SecretSelector?,
    certificate: SecretSelector?,
    key: SecretSelector?
  ) {
    self.kind = kind
    self.root = root
    self.login = login
    loginField = ""
    self.authorities = authorities
    self.certificate = certificate
    self.key = key
  }

  /// Reads the fields of `block` that say it; the caller finishes the block.
  package init(_ kind: ForgeKind, from block: Block) {
    self.kind = kind
    var root = kind.publicRoot
    if let address = block.string(kind.addressField), !address.isEmpty {
      do throws(OutboundError) { root = try kind.root(of: address) } catch {
        block.error(kind.addressField, "\(error)")
      }
    }
    self.root = root
    var login: ForgeLogin?
    var field = "accessToken"
    switch kind {
    case .github:
      field = "apiToken"
      login = block.secret("apiToken").map { ForgeLogin(.token($0)) }
      if let app = block.block("githubApp") {
        if login != nil { block.error("githubApp", "found beside apiToken: keep one of them") }
        field = "githubApp"
        login = ForgeLogin(app: app)
      }
    case .bitbucket:
      field = "auth"
      if let auth = block.block("auth") {
        login = auth.secret("oauthToken").map { ForgeLogin(.token($0)) }
        if let basic = auth.block("basic") {
          if login != nil { auth.error("basic", "found beside oauthToken: keep one of them") }
          login = ForgeLogin(basic: basic)
        }
        auth.finish()
      }
    case .gerrit:
      field = "auth"
      login = ForgeLogin(basic: block.block("auth"))
    case .gitlab, .gitea, .bitbucketserver:
      login = block.secret("accessToken").map { ForgeLogin(.token($0)) }
    }
    self.login = login
    loginField = field
    let tls = block.block("tls")
    authorities = tls?.secret("caCertSecret")
    certificate = tls?.secret("clientCertSecret")
    key = tls?.secret("clientKeySecret")
    if tls?.bool("insecureSkipVerify") == true {
      tls?.error(
        "insecureSkipVerify",
        "found true: certificates are always verified; name the authority in caCertSecret"
      )
    }
    if (certificate == nil) != (key == nil) {
      tls?.error(nil, "found one of clientCertSecret and clientKeySecret, expected both or none")
    }
    tls?.finish()
  }

  /// Reports what is wrong with the secrets.
  /// - Parameter prefix: of the field's path below `block`, such as `github.`.
  package func check(_ secrets: any SecretStore, _ block: Block, prefix: String = "") {
    if let problem = login?.problem(secrets) { block.error(prefix + loginField, problem) }
    for case let selector? in [authorities, certificate, key] {
      do throws(SecretError) {
        _ = try secrets.secret(name: selector.name, key: selector.key)
      } catch { block.error(prefix + "tls", "\(error)") }
    }
  }

  /// nil where it cannot be called.
  /// - Throws: `SecretError` when the certificates cannot be had.
  package func client(
    _ secrets: any SecretStore,
    send: @escaping ForgeClient.Send
  ) throws(SecretError) -> ForgeClient? {
    guard let root, let login else { return nil }
    var tls: OutboundTLS?
    if authorities != nil || certificate != nil {
      func bytes(_ selector: SecretSelector?) throws(SecretError) -> [UInt8] {
        guard let selector else { return [] }
        return try secrets.secret(name: selector.name, key: selector.key).reveal()
      }
      tls = OutboundTLS(
        authorities: try bytes(authorities),
        certificate: try bytes(certificate),
        key: try bytes(key)
      )
    }
    return ForgeClient(kind, root: root, login, secrets: secrets, tls: tls, send: send)
  }
}
