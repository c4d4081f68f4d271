import JSON
import Manifest
import Plugin
import Posix

/// The fields of a `git` source.
struct GitSpec: ManifestBlock, Sendable {
  /// Where a hook was installed, links resolved.
  let repository: String?
  /// Where a hook on another machine hands pushes over.
  let webhook: WebhookContext?
  /// What `git ls-remote` is asked.
  let url: String?
  let interval: Duration
  /// A part of the interval that is added at random.
  let jitter: Double
  let metadata: [JSON.Member]
  /// Of `url`: how ssh is called, and the authorities in place of the system's.
  let sshCommand: String
  let authorities: String?
  /// What must hold for a push to be let in, in the language of `filter.expression`.
  let gate: String?

  init(from block: Block) {
    let path = block.string("repository")
    url = block.string("url")
    sshCommand = Self.sshCommand(block)
    authorities = block.string("caFile")
    interval = block.duration("interval") ?? .seconds(path == nil ? 60 : 30)
    jitter = block.number("jitter") ?? 0.1
    metadata = webhookMetadata(block)
    let context = block.block("webhook")
    webhook = context.map { WebhookContext(from: $0, own: nil, bodyLimit: Self.bodyLimit) }
    context?.finish()
    if let webhook, webhook.authSecret == nil {
      context?.error("authSecret", "found nothing, expected the secret {name, key} of the hooks")
    }
    let gate = block.block("gate")
    self.gate = gate?.requiredString("expression")
    gate?.finish()
    if gate != nil && url != nil { block.error("gate", "needs a hook, which url has not") }
    block.finish()
    if [path != nil, url != nil, context != nil].count(where: { $0 }) != 1 {
      let expected =
        "expected one of repository, with a hook, webhook, for hooks elsewhere, and url, to be asked"
      block.error(nil, expected)
    }
    if let url, !Self.isURL(url) {
      block.error("url", "found '\(url)', expected https, http, ssh or file, or user@host:path")
    }
    if !(Duration.seconds(1)...Duration.seconds(86_400)).contains(interval) {
      block.error("interval", "found \(interval), expected 1s to 24h")
    }
    if !(0...1).contains(jitter) { block.error("jitter", "found \(jitter), expected 0 to 1") }
    repository = path.flatMap { path in
      guard path.hasPrefix("/") else {
        block.error("repository", "found '\(path)', expected an absolute path")
        return nil
      }
      // One that is not there yet is found by a later scan.
      return (try? Files.resolved(path)) ?? path
    }
  }

  /// Git hands the command to a shell, so nothing that means something there may stand in it.
  private static func sshCommand(_ block: Block) -> String {
    var command = Git.sshCommand
    guard let ssh = block.block("ssh") else { return command }
    for (field, option) in [
      ("identityFile", "-oIdentitiesOnly=yes -i "), ("knownHostsFile", "-oUserKnownHostsFile="),
    ] {
      guard let path = ssh.string(field) else { continue }
      let isPlain = path.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "._-/".utf8.contains(byte)
        }
      }
      if isPlain, path.hasPrefix("/") {
        command += " " + option + path
      } else {
        ssh.error(
          field,
          "found '\(path)', expected an absolute path of letters, digits, '.', '_', '-' and '/'"
        )
      }
    }
    ssh.finish()
    return command
  }

  /// Other transports, such as `ext::`, run programs.
  private static func isURL(_ text: String) -> Bool {
    if text.hasPrefix("-") || text.contains("::") || text.utf8.contains(where: { $0 <= 0x20 }) {
      return false
    }
    if let scheme = text.firstRange(of: "://") {
      return ["https", "http", "ssh", "file"].contains(text[..<scheme.lowerBound])
    }
    guard let at = text.firstIndex(of: "@"), let colon = text.firstIndex(of: ":") else {
      return false
    }
    return at < colon
  }

  /// The largest push that is taken.
  static let bodyLimit = 32 << 20
}
