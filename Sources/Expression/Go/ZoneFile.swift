/// The content of a file of the time zone database (TZif, RFC 8536).
struct ZoneFile {
  private(set) var first = GoZone.Offset(seconds: 0, name: "UTC", isDaylight: false)
  private(set) var periods: [GoZone.Period] = []
  private(set) var rule: ZoneRule?

  private static let magic = Array("TZif".utf8)
  private static let headerSize = 44

  private struct Header {
    let version: UInt8
    /// isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt.
    let counts: [Int]

    init?(_ bytes: ArraySlice<UInt8>) {
      guard bytes.count >= headerSize, bytes.starts(with: magic) else { return nil }
      version = bytes[bytes.startIndex + 4]
      counts = (0..<6).map { integer(bytes, bytes.startIndex + 20 + $0 * 4, size: 4) }
      guard counts.allSatisfy({ (0...100_000).contains($0) }) else { return nil }
    }

    func bodySize(time: Int) -> Int {
      counts[3] * (time + 1) + counts[4] * 6 + counts[5] + counts[2] * (time + 4) + counts[1]
        + counts[0]
    }
  }

  init?(_ bytes: [UInt8]) {
    var rest = bytes[...]
    guard var header = Header(rest) else { return nil }
    var size = 4
    rest = rest.dropFirst(Self.headerSize)
    if header.version >= 0x32 {
      // From version 2 on the same data follow once more with times of 64 bits.
      rest = rest.dropFirst(header.bodySize(time: 4))
      guard let second = Header(rest) else { return nil }
      header = second
      size = 8
      rest = rest.dropFirst(Self.headerSize)
    }
    guard rest.count >= header.bodySize(time: size), header.counts[4] > 0 else { return nil }
    guard read(rest, header, size) else { return nil }
    let footer = rest.dropFirst(header.bodySize(time: size))
    if size == 8, footer.first == 0x0a {
      let text = footer.dropFirst().prefix { $0 != 0x0a }
      if !text.isEmpty { rule = ZoneRule(String(decoding: text, as: UTF8.self)) }
    }
  }

  private mutating func read(_ body: ArraySlice<UInt8>, _ header: Header, _ size: Int) -> Bool {
    let times = header.counts[3]
    let start = body.startIndex
    let kinds = start + times * (size + 1)
    let names = kinds + header.counts[4] * 6
    let end = names + header.counts[5]
    var offsets: [GoZone.Offset] = []
    for kind in 0..<header.counts[4] {
      let at = kinds + kind * 6
      let name = names + Int(body[at + 5])
      guard name < end else { return false }
      let text = body[name..<end].prefix { $0 != 0 }
      offsets.append(
        GoZone.Offset(
          seconds: Self.integer(body, at, size: 4),
          name: String(decoding: text, as: UTF8.self),
          isDaylight: body[at + 4] != 0
        )
      )
    }
    for place in 0..<times {
      let kind = Int(body[start + times * size + place])
      guard kind < offsets.count else { return false }
      periods.append(
        GoZone.Period(
          start: Self.integer(body, start + place * size, size: size),
          offset: offsets[kind]
        )
      )
    }
    first = offsets.first { !$0.isDaylight } ?? offsets[0]
    return true
  }

  /// Big-endian with a sign.
  private static func integer(_ bytes: ArraySlice<UInt8>, _ at: Int, size: Int) -> Int {
    var value: UInt64 = 0
    for place in 0..<size { value = value << 8 | UInt64(bytes[at + place]) }
    return size == 4 ? Int(Int32(truncatingIfNeeded: value)) : Int(truncatingIfNeeded: value)
  }
}
