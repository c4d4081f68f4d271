package import Posix

/// Which addresses a request may connect to.
package enum AddressRule: Sendable {
  /// The host was written in a manifest: anything but link-local and metadata addresses.
  case trusted
  /// Scheme, host or port came from an event: addresses of the public Internet, and what the
  /// operator allowed.
  case checked(allow: AllowList)

  /// Whether a request for `host` (as in its URL) may connect to `address`.
  func permits(_ address: NetworkAddress, host: String) -> Bool {
    switch self {
    case .trusted: !address.isMetadata
    case .checked(let allow):
      address.isPublic || allow.ranges.contains { $0.contains(address) }
        || (allow.names(host) && !address.isMetadata)
    }
  }
}

/// What `--allow-outbound` names: ranges of addresses, and hosts that are trusted as if a manifest
/// had named them.
package struct AllowList: Sendable, Equatable {
  let ranges: [NetworkRange]
  /// In lower case, without the dot at the end.
  private let hosts: Set<String>

  /// Allows nothing.
  package init() {
    ranges = []
    hosts = []
  }

  /// - Parameter entries: An address (`10.1.2.3`), a range (`10.0.0.0/8`, `fd00::/8`) or a host
  ///   (`git.internal`) each.
  /// - Throws: `AllowListError` about the first entry that is none of them.
  package init(parsing entries: [String]) throws(AllowListError) {
    var ranges: [NetworkRange] = []
    var hosts: Set<String> = []
    for entry in entries {
      if let range = NetworkRange(entry) {
        ranges.append(range)
      } else if let host = hostName(entry) {
        hosts.insert(host)
      } else {
        throw AllowListError(entry: entry)
      }
    }
    self.ranges = ranges
    self.hosts = hosts
  }

  fileprivate func names(_ host: String) -> Bool {
    hostName(host).map(hosts.contains) ?? false
  }
}

/// An `--allow-outbound` entry that says nothing.
package struct AllowListError: Error, Equatable, CustomStringConvertible {
  package let entry: String

  package init(entry: String) { self.entry = entry }

  package var description: String {
    "found '\(entry)', expected an address such as 10.1.2.3, a range such as 10.0.0.0/8 whose "
      + "bits behind the prefix are zero, or a host such as git.internal"
  }
}

/// `text` in lower case without a dot at its end; nil unless it is a host name (RFC 1123). One
/// whose last label looks like a number is an address in disguise, such as `0x7f.1`, and none.
private func hostName(_ text: String) -> String? {
  var name = text.lowercased()
  if name.hasSuffix(".") { name.removeLast() }
  let labels = name.split(separator: ".", omittingEmptySubsequences: false)
  let areLabels = labels.allSatisfy { label in
    (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
      && label.utf8.allSatisfy {
        (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d || $0 == 0x5f
      }
  }
  guard areLabels, name.utf8.count <= 253, let last = labels.last else { return nil }
  let isNumber = last.utf8.allSatisfy { (0x30...0x39).contains($0) }
  return isNumber || last.hasPrefix("0x") ? nil : name
}

extension NetworkAddress {
  /// Link-local, or one at which clouds give credentials to whoever asks: refused to everybody.
  package var isMetadata: Bool {
    NetworkRange.metadata.contains { $0.contains(self) } || (embedded?.isMetadata ?? false)
  }

  /// A unicast address of the public Internet. Forms that lead elsewhere (NAT64, 6to4, Teredo,
  /// compatible) are not, whatever they carry.
  package var isPublic: Bool {
    if v4 != nil { return !NetworkRange.privateV4.contains { $0.contains(self) } }
    return NetworkRange.globalV6.contains(self)
      && !NetworkRange.specialV6.contains { $0.contains(self) }
  }
}

extension NetworkRange {
  fileprivate static let metadata = [
    NetworkRange(v4: 0xa9fe_0000, 16),  // 169.254/16 link-local, RFC 3927
    NetworkRange(v4: 0x6464_64c8, 32),  // 100.100.100.200, Alibaba
    NetworkRange(v4: 0xc000_00c0, 32),  // 192.0.0.192, Oracle
    NetworkRange(v4: 0xa83f_8110, 32),  // 168.63.129.16, Azure
    NetworkRange(v6: 0xfe80_0000_0000_0000, 10),  // link-local, RFC 4291
    NetworkRange(v6: 0xfd00_0ec2_0000_0000, low: 0x254, 128),  // fd00:ec2::254, Amazon
    NetworkRange(v6: 0xfd20_00ce_0000_0000, low: 0x254, 128),  // fd20:ce::254, Google
  ]

  /// What the IANA IPv4 special-purpose registry (RFC 6890) and RFC 5771 keep from being reached
  /// over the Internet, and Azure's host address.
  fileprivate static let privateV4 = [
    NetworkRange(v4: 0x0000_0000, 8),  // 0/8 this network
    NetworkRange(v4: 0x0a00_0000, 8),  // 10/8 private, RFC 1918
    NetworkRange(v4: 0x6440_0000, 10),  // 100.64/10 carrier NAT, RFC 6598
    NetworkRange(v4: 0x7f00_0000, 8),  // 127/8 loopback
    NetworkRange(v4: 0xa9fe_0000, 16),  // 169.254/16 link-local, RFC 3927
    NetworkRange(v4: 0xa83f_8110, 32),  // 168.63.129.16
    NetworkRange(v4: 0xac10_0000, 12),  // 172.16/12 private
    NetworkRange(v4: 0xc000_0000, 24),  // 192.0.0/24 protocol assignments
    NetworkRange(v4: 0xc000_0200, 24),  // 192.0.2/24 documentation, RFC 5737
    NetworkRange(v4: 0xc058_6300, 24),  // 192.88.99/24 6to4 relays, RFC 7526
    NetworkRange(v4: 0xc0a8_0000, 16),  // 192.168/16 private
    NetworkRange(v4: 0xc612_0000, 15),  // 198.18/15 benchmarks, RFC 2544
    NetworkRange(v4: 0xc633_6400, 24),  // 198.51.100/24 documentation
    NetworkRange(v4: 0xcb00_7100, 24),  // 203.0.113/24 documentation
    NetworkRange(v4: 0xe000_0000, 4),  // 224/4 multicast
    NetworkRange(v4: 0xf000_0000, 4),  // 240/4 reserved, broadcast
  ]

  /// The only IPv6 space that IANA has given out for global unicast (RFC 4291 section 2.4).
  fileprivate static let globalV6 = NetworkRange(v6: 0x2000_0000_0000_0000, 3)

  /// What inside it is not the Internet.
  fileprivate static let specialV6 = [
    NetworkRange(v6: 0x2001_0000_0000_0000, 23),  // protocol assignments; Teredo, RFC 4380
    NetworkRange(v6: 0x2001_0db8_0000_0000, 32),  // documentation, RFC 3849
    sixToFour,
    NetworkRange(v6: 0x3fff_0000_0000_0000, 20),  // documentation, RFC 9637
  ]
}
