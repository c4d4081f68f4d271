import Glibc

/// The address of a machine: IPv6, or IPv4 in its mapped form (`::ffff:a.b.c.d`), so that both
/// spellings of an IPv4 address are one value.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
  package let bits: UInt128

  package init(bits: UInt128) { self.bits = bits }

  package init(v4 bits: UInt32) { self.bits = 0xffff << 32 | UInt128(bits) }

  /// Reads an IPv4 address of four decimal numbers or an IPv6 address (RFC 4291 section 2.2)
  /// without brackets or zone; nil for anything else, also for `127.1`, `0x7f.0.0.1` and `010.0.0.1`.
  package init?(_ text: String) {
    guard !text.utf8.contains(0) else { return nil }
    var v4 = in_addr()
    var v6 = in6_addr()
    if unsafe inet_pton(AF_INET, text, &v4) == 1 {
      self.init(v4: UInt32(bigEndian: v4.s_addr))
    } else if unsafe inet_pton(AF_INET6, text, &v6) == 1 {
      self.init(bits: unsafe withUnsafeBytes(of: &v6) { unsafe Self.bigEndian($0) })
    } else {
      return nil
    }
  }

  /// Reads `length` bytes at `address` as a `sockaddr_in` or `sockaddr_in6`; nil for any other
  /// family.
  package init?(socketAddress address: UnsafeRawPointer, length: Int) {
    guard length >= MemoryLayout<sockaddr>.size else { return nil }
    let family = unsafe Int32(address.loadUnaligned(as: sa_family_t.self))
    let bytes = unsafe UnsafeRawBufferPointer(start: address, count: length)
    switch family {
    case AF_INET:
      self.init(v4: unsafe UInt32(truncatingIfNeeded: Self.bigEndian(bytes[4..<8])))
    case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
      self.init(bits: unsafe Self.bigEndian(bytes[8..<24]))
    default: return nil
    }
  }

  private static func bigEndian(_ bytes: some Sequence<UInt8>) -> UInt128 {
    bytes.reduce(0) { $0 << 8 | UInt128($1) }
  }

  /// The IPv4 address where this is one.
  package var v4: UInt32? {
    bits >> 32 == 0xffff ? UInt32(truncatingIfNeeded: bits) : nil
  }

  /// The IPv4 address inside the forms that carry one through IPv6: compatible (`::a.b.c.d`),
  /// NAT64 (RFC 6052, RFC 8215) and 6to4 (RFC 3056).
  package var embedded: NetworkAddress? {
    if bits >> 32 == 0 || NetworkRange.nat64.contains(self)
      || NetworkRange.localNAT64.contains(self)
    {
      return NetworkAddress(v4: UInt32(truncatingIfNeeded: bits))
    }
    if NetworkRange.sixToFour.contains(self) {
      return NetworkAddress(v4: UInt32(truncatingIfNeeded: bits >> 80))
    }
    return nil
  }

  /// Four decimal numbers, or eight groups without zeros squeezed out (an address to read in a
  /// message, not to compare as text).
  package var description: String {
    if let v4 {
      return [24, 16, 8, 0].map { String(v4 >> $0 & 0xff) }.joined(separator: ".")
    }
    return stride(from: 112, through: 0, by: -16)
      .map { String(UInt16(truncatingIfNeeded: bits >> UInt128($0)), radix: 16) }
      .joined(separator: ":")
  }
}

/// The addresses that begin with the same bits.
package struct NetworkRange: Hashable, Sendable {
  let base: NetworkAddress
  /// Of 128 bits; an IPv4 prefix counts from bit 96.
  let prefix: Int

  /// - Parameter prefix: 0 to 32.
  package init(v4 base: UInt32, _ prefix: Int) {
    self.init(NetworkAddress(v4: base), 96 + prefix)
  }

  /// - Parameter prefix: 0 to 128.
  init(_ base: NetworkAddress, _ prefix: Int) {
    precondition((0...128).contains(prefix), "a prefix of \(prefix) bits")
    self.base = base
    self.prefix = prefix
  }

  /// - Parameters:
  ///   - high: The first 64 bits.
  ///   - low: The other 64.
  package init(v6 high: UInt64, low: UInt64 = 0, _ prefix: Int) {
    self.init(NetworkAddress(bits: UInt128(high) << 64 | UInt128(low)), prefix)
  }

  /// Reads `10.0.0.0/8`, `fd00::/8` or one address; nil for anything that is neither.
  /// A range with bits set behind its prefix is no range.
  package init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let base = NetworkAddress(String(parts[0])) else { return nil }
    let isV4 = !parts[0].contains(":")
    var prefix = 128
    if parts.count == 2 {
      guard parts[1].utf8.count <= 3, parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let bits = Int(parts[1]), bits <= (isV4 ? 32 : 128)
      else { return nil }
      prefix = isV4 ? 96 + bits : bits
    }
    guard base.bits & ~Self.mask(prefix) == 0 else { return nil }
    self.init(base, prefix)
  }

  package func contains(_ address: NetworkAddress) -> Bool {
    (address.bits ^ base.bits) & Self.mask(prefix) == 0
  }

  private static func mask(_ prefix: Int) -> UInt128 {
    prefix == 0 ? 0 : ~0 << UInt128(128 - prefix)
  }

  static let nat64 = NetworkRange(v6: 0x0064_ff9b_0000_0000, 96)
  static let localNAT64 = NetworkRange(v6: 0x0064_ff9b_0001_0000, 48)
  package static let sixToFour = NetworkRange(v6: 0x2002_0000_0000_0000, 16)
}
