import HTTP
import Plugin
import Synchronization
import TLS

/// HMAC-SHA256 of a body, computed while it arrives under every live secret, beside the code that
/// its sender gave.
final class SignatureCheck: BodyCheck, @unchecked Sendable {
  // SAFETY: belongs to one request, whose body arrives on one loop.

  private final class Running {
    var stream: HMACKey.Stream?
    init(_ key: HMACKey) { stream = key.stream() }

    func finish() -> [UInt8] { stream.take()?.finish() ?? [] }
  }

  private let streams: [Running]
  private let sent: [UInt8]
  private let refuse: @Sendable () -> Response
  /// Whether only the previous value of the secret fits; after `finish`.
  private(set) var usedPrevious = false

  /// - Parameters:
  ///   - sent: the 32 bytes of the sender's code.
  ///   - refuse: makes the answer to a body whose code is another one.
  init(_ keys: [HMACKey], sent: [UInt8], refuse: @escaping @Sendable () -> Response) {
    streams = keys.map { Running($0) }
    self.sent = sent
    self.refuse = refuse
  }

  func update(_ bytes: RawSpan) { for running in streams { running.stream?.update(bytes) } }

  func finish() -> Response? {
    // Every live secret is compared, so that time does not tell which one was close.
    let fitting = streams.map { constantTimeEquals($0.finish(), sent) }
    guard let first = fitting.firstIndex(of: true) else { return refuse() }
    usedPrevious = first > 0
    return nil
  }
}

/// The keys of live secrets, set up once for each secret.
final class HMACKeys: Sendable {
  private let known = Mutex<[(secret: [UInt8], key: HMACKey)]>([])

  func keys(of live: [Secret]) -> [HMACKey] {
    known.withLock { known in
      let next = live.map { secret in
        let bytes = secret.reveal()
        return known.first { $0.secret == bytes } ?? (bytes, HMACKey(bytes))
      }
      // What is no longer live is forgotten.
      if next.map(\.secret) != known.map(\.secret) { known = next }
      return next.map(\.key)
    }
  }
}

/// The bytes of hexadecimal digits in lower case; nil when `text` is anything else.
func bytes(hexadecimal text: some StringProtocol) -> [UInt8]? {
  let digits = Array(text.utf8)
  guard digits.count % 2 == 0 else { return nil }
  func value(_ digit: UInt8) -> UInt8? {
    switch digit {
    case 0x30...0x39: digit - 0x30
    case 0x61...0x66: digit - 0x57
    default: nil
    }
  }
  var bytes: [UInt8] = []
  for index in stride(from: 0, to: digits.count, by: 2) {
    guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
    bytes.append(high << 4 | low)
  }
  return bytes
}
