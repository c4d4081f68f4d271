import HTTP
import Manifest
import Posix

/// From where requests are taken, beside what they prove: `signalbox: {allowFrom: [140.82.112.0/20,
/// "2a0a:a440::/29"]}`, addresses and ranges. Behind a trusted proxy the client's counts.
struct SenderAddresses: Sendable {
  private let allowed: [NetworkRange]

  /// Reads an entry's `signalbox` block; nil where it names no addresses.
  init?(from own: Block?) {
    guard let own, let texts = own.strings("allowFrom") else { return nil }
    allowed = texts.compactMap { text in
      let range = NetworkRange(text)
      if range == nil {
        own.error("allowFrom", "found '\(text)', expected an address or a range such as 10.0.0.0/8")
      }
      return range
    }
    if texts.isEmpty {
      own.error("allowFrom", "found no address, expected those that requests may come from")
    }
  }

  func admits(_ head: RequestHead) -> Bool {
    guard let client = head.client else { return false }
    return allowed.contains { $0.contains(client) }
  }
}
