import Posix

/// What a proxy writes before all else to tell whose connection it passes on (the PROXY protocol,
/// versions 1 and 2).
enum ProxyHeader: Equatable {
  case unfinished
  /// Neither version, or a header that is too long.
  case bad
  /// - Parameters:
  ///   - client: nil where the proxy speaks for itself, or of no address of the Internet.
  ///   - length: of the header, in bytes.
  case read(client: NetworkAddress?, length: Int)

  private static let signature: [UInt8] = [
    0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
  ]
  /// Of version 1, its line end included.
  private static let lineMax = 107
  /// Of version 2, its addresses and additions together.
  private static let restMax = 2048

  init(_ bytes: [UInt8]) {
    let begin = bytes.prefix(Self.signature.count)
    if begin.elementsEqual(Self.signature.prefix(begin.count)) {
      self = begin.count == Self.signature.count ? Self.binary(bytes) : .unfinished
    } else {
      self = Self.line(bytes)
    }
  }

  private static func line(_ bytes: [UInt8]) -> ProxyHeader {
    let word = Array("PROXY ".utf8)
    guard bytes.prefix(word.count).elementsEqual(word.prefix(bytes.count)) else { return .bad }
    guard let end = bytes.prefix(lineMax).firstIndex(of: 0x0a) else {
      return bytes.count < lineMax ? .unfinished : .bad
    }
    guard bytes[end - 1] == 0x0d else { return .bad }
    let text = String(decoding: bytes[..<(end - 1)], as: UTF8.self)
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    if parts.count >= 2, parts[1] == "UNKNOWN" { return .read(client: nil, length: end + 1) }
    guard parts.count == 6, parts[1] == "TCP4" || parts[1] == "TCP6",
      let client = NetworkAddress(String(parts[2])), NetworkAddress(String(parts[3])) != nil,
      parts[2].contains(":") == (parts[1] == "TCP6"),
      parts[4...].allSatisfy({ UInt16($0) != nil })
    else { return .bad }
    return .read(client: client, length: end + 1)
  }

  private static func binary(_ bytes: [UInt8]) -> ProxyHeader {
    guard bytes.count >= 16 else { return .unfinished }
    let rest = Int(bytes[14]) << 8 | Int(bytes[15])
    guard bytes[12] == 0x20 || bytes[12] == 0x21, rest <= restMax else { return .bad }
    let length = 16 + rest
    guard bytes.count >= length else { return .unfinished }
    // The command LOCAL: the proxy looks after its own connection.
    if bytes[12] == 0x20 { return .read(client: nil, length: length) }
    func number(_ range: Range<Int>) -> UInt128 { bytes[range].reduce(0) { $0 << 8 | UInt128($1) } }
    switch bytes[13] {
    case 0x11 where rest >= 12:
      let client = NetworkAddress(v4: UInt32(truncatingIfNeeded: number(16..<20)))
      return .read(client: client, length: length)
    case 0x21 where rest >= 36:
      return .read(client: NetworkAddress(bits: number(16..<32)), length: length)
    case 0x11, 0x21: return .bad
    default: return .read(client: nil, length: length)
    }
  }
}
