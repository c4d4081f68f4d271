/// A string as the languages of manifests have it: any bytes, usually UTF-8, compared and indexed
/// byte by byte.
package struct ByteString: Hashable, Comparable, Sendable, ExpressibleByStringLiteral,
  CustomStringConvertible
{
  package let bytes: ArraySlice<UInt8>

  package init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
  package init(_ bytes: [UInt8]) { self.bytes = bytes[...] }
  package init(_ text: some StringProtocol) { bytes = Array(text.utf8)[...] }
  package init(stringLiteral text: String) { self.init(text) }

  /// As text, every byte that is no UTF-8 being U+FFFD of its own.
  package var description: String { repaired }
  package var count: Int { bytes.count }
  var isEmpty: Bool { bytes.isEmpty }

  package static func == (a: ByteString, b: ByteString) -> Bool {
    a.bytes.count == b.bytes.count && a.bytes.elementsEqual(b.bytes)
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(bytes.count)
    for byte in bytes { hasher.combine(byte) }
  }

  package static func < (a: ByteString, b: ByteString) -> Bool {
    a.bytes.lexicographicallyPrecedes(b.bytes)
  }

  func hasPrefix(_ other: ByteString) -> Bool { bytes.starts(with: other.bytes) }

  func hasSuffix(_ other: ByteString) -> Bool {
    count >= other.count && bytes.suffix(other.count).elementsEqual(other.bytes)
  }

  func contains(_ other: ByteString) -> Bool { index(of: other) != nil }

  /// The byte offset at or after `start` where `other` begins.
  func index(of other: ByteString, from start: Int = 0) -> Int? {
    guard let first = other.bytes.first else { return start }
    var at = bytes.startIndex + start
    let last = bytes.endIndex - other.count
    while at <= last {
      if bytes[at] == first, bytes[at..<at + other.count].elementsEqual(other.bytes) {
        return at - bytes.startIndex
      }
      at += 1
    }
    return nil
  }

  func lastIndex(of other: ByteString) -> Int? {
    var at = count - other.count
    while at >= 0 {
      if self[at..<at + other.count] == other { return at }
      at -= 1
    }
    return nil
  }

  /// The bytes from one offset to another.
  subscript(range: Range<Int>) -> ByteString {
    let start = bytes.startIndex
    return ByteString(bytes[start + range.lowerBound..<start + range.upperBound])
  }

  static func + (a: ByteString, b: ByteString) -> ByteString { ByteString(a.bytes + b.bytes) }
}

/// One code point of a byte string; a byte that is no UTF-8 counts as U+FFFD of its own.
struct Rune {
  let scalar: Unicode.Scalar
  let width: Int

  init(_ scalar: Unicode.Scalar, width: Int) {
    self.scalar = scalar
    self.width = width
  }

  /// The code point at an index of `bytes`.
  init(_ bytes: ArraySlice<UInt8>, at start: Int) {
    let lead = bytes[start]
    if lead < 0x80 {
      self.init(Unicode.Scalar(lead), width: 1)
      return
    }
    var more = 0
    var value: UInt32 = 0
    switch lead {
    case 0xc2...0xdf: (more, value) = (1, UInt32(lead & 0x1f))
    case 0xe0...0xef: (more, value) = (2, UInt32(lead & 0x0f))
    case 0xf0...0xf4: (more, value) = (3, UInt32(lead & 0x07))
    default: break
    }
    guard more > 0, start + more < bytes.endIndex else {
      self.init("\u{fffd}", width: 1)
      return
    }
    for place in 1...more {
      let byte = bytes[start + place]
      guard byte & 0xc0 == 0x80 else {
        self.init("\u{fffd}", width: 1)
        return
      }
      value = value << 6 | UInt32(byte & 0x3f)
    }
    let least: [UInt32] = [0, 0x80, 0x800, 0x10000]
    guard value >= least[more], let scalar = Unicode.Scalar(value) else {
      self.init("\u{fffd}", width: 1)
      return
    }
    self.init(scalar, width: more + 1)
  }
}

extension ByteString {
  /// The code points, each with the offset of its first byte.
  var runes: [(offset: Int, rune: Rune)] {
    var found: [(Int, Rune)] = []
    var at = bytes.startIndex
    while at < bytes.endIndex {
      let rune = Rune(bytes, at: at)
      found.append((at - bytes.startIndex, rune))
      at += rune.width
    }
    return found
  }

  var runeCount: Int {
    var count = 0
    var at = bytes.startIndex
    while at < bytes.endIndex {
      at += bytes[at] < 0x80 ? 1 : Rune(bytes, at: at).width
      count += 1
    }
    return count
  }

  /// Every code point in its simple upper case: `ß` stays, as one code point has to stay one.
  var uppercased: ByteString {
    mapped { scalar in
      if scalar.isASCII {
        return (0x61...0x7a).contains(scalar.value)
          ? Unicode.Scalar(UInt8(scalar.value) - 0x20) : scalar
      }
      let upper = scalar.properties.uppercaseMapping.unicodeScalars
      if upper.count == 1 { return upper.first ?? scalar }
      let title = scalar.properties.titlecaseMapping.unicodeScalars
      return title.count == 1 ? title.first ?? scalar : scalar
    }
  }

  var lowercased: ByteString {
    mapped { scalar in
      if scalar.isASCII {
        return (0x41...0x5a).contains(scalar.value)
          ? Unicode.Scalar(UInt8(scalar.value) + 0x20) : scalar
      }
      return scalar.properties.lowercaseMapping.unicodeScalars.first ?? scalar
    }
  }

  func mapped(_ change: (Unicode.Scalar) -> Unicode.Scalar) -> ByteString {
    var out: [UInt8] = []
    out.reserveCapacity(count)
    for (_, rune) in runes { out.append(change(rune.scalar)) }
    return ByteString(out)
  }

  /// Without the code points at both ends for which `drops` is true.
  func trimmed(_ drops: (Unicode.Scalar) -> Bool) -> ByteString {
    let runes = runes
    guard let first = runes.firstIndex(where: { !drops($0.rune.scalar) }),
      let last = runes.lastIndex(where: { !drops($0.rune.scalar) })
    else { return "" }
    return self[runes[first].offset..<runes[last].offset + runes[last].rune.width]
  }

  /// Cut at every `separator`, which stays at the end of each part if `keeping`; an empty one cuts
  /// between code points. `limit` parts at most, the last with the rest; below 0 all of them.
  func split(_ separator: ByteString, limit: Int, keeping: Bool = false) -> [ByteString] {
    guard limit != 0 else { return [] }
    var parts: [ByteString] = []
    var start = 0
    if separator.isEmpty {
      for (offset, rune) in runes {
        if limit > 0, parts.count == limit - 1 { break }
        parts.append(self[offset..<offset + rune.width])
        start = offset + rune.width
      }
      if start < count { parts.append(self[start..<count]) }
      return parts
    }
    while limit < 0 || parts.count < limit - 1, let at = index(of: separator, from: start) {
      parts.append(self[start..<at + (keeping ? separator.count : 0)])
      start = at + separator.count
    }
    parts.append(self[start..<count])
    return parts
  }

  /// The first `limit` occurrences replaced; below 0 all of them. An empty `old` matches before
  /// each code point and at the end.
  func replacing(_ old: ByteString, _ new: ByteString, limit: Int = -1) -> ByteString {
    var out: [UInt8] = []
    var left = limit
    var start = 0
    if old.isEmpty {
      for (offset, rune) in runes where left != 0 {
        out += new.bytes
        out += self[offset..<offset + rune.width].bytes
        start = offset + rune.width
        left -= 1
      }
      out += self[start..<count].bytes
      if left != 0 { out += new.bytes }
      return ByteString(out)
    }
    while left != 0, let at = index(of: old, from: start) {
      out += self[start..<at].bytes
      out += new.bytes
      start = at + old.count
      left -= 1
    }
    out += self[start..<count].bytes
    return ByteString(out)
  }
}

extension [UInt8] {
  /// Adds a code point as UTF-8.
  mutating func append(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      append(UInt8(scalar.value))
    } else {
      self += String(Character(scalar)).utf8
    }
  }
}
