import Event
import Plugin
import Posix
import TLS

/// The secret of an installation, by which it knows again what it sent itself: requests carry
/// `Signalbox-Cause: <firing id>;<hops>;<HMAC-SHA256 of the two in hexadecimal>`, and an event
/// that comes back with it continues the chain, so that a loop through the network is cut too.
struct InstallationKey: Sendable {
  private let key: HMACKey
  private static let leastBytes = 32

  /// The one that processes have in common, as `signalbox/cause-key` among their secrets; else that of
  /// `folder`, which is made unless it is there.
  /// - Throws: `SystemError`, or `SecretError`.
  init(_ folder: String, _ secrets: FolderSecrets) throws {
    if let shared = try secrets.find("signalbox", "cause-key") {
      let bytes = shared.reveal()
      guard bytes.count >= Self.leastBytes else {
        throw SecretError(
          "the secret signalbox/cause-key has \(bytes.count) bytes, expected \(Self.leastBytes) or more"
        )
      }
      key = HMACKey(bytes)
      return
    }
    let path = folder + "/installation.key"
    if Files.kind(path) == nil { try Files.writeDurably(secureRandomBytes(32), to: path) }
    let bytes = try Files.read(path, limit: 1024)
    guard bytes.count == 32 else { throw SystemError("read", path, code: 74 /* EBADMSG */) }
    key = HMACKey(bytes)
  }

  func header(_ firing: FiringID, hops: Int) -> String {
    let text = "\(firing.text);\(hops)"
    return "\(text);\(hexadecimal(key.code(Array(text.utf8))))"
  }

  /// By which a secret is known again; no header has this form.
  func digest(ofSecret secret: [UInt8]) -> String {
    hexadecimal(key.code(Array("digest of a secret\n".utf8) + secret))
  }

  /// nil unless `header` was made with this key.
  func cause(verifying header: String) -> Cause? {
    guard header.utf8.count <= 256 else { return nil }
    let parts = header.split(separator: ";", omittingEmptySubsequences: false)
    guard parts.count == 3, let firing = FiringID(String(parts[0])), let hops = Int(parts[1]),
      (0...100_000).contains(hops),
      constantTimeEquals(Array(self.header(firing, hops: hops).utf8), Array(header.utf8))
    else { return nil }
    return Cause(firing: firing, events: [], hops: hops, path: [])
  }
}
