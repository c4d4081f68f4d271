import JSON

/// A list or object in the bytes of a checked document, read only where it is looked into.
package struct ExprJSON: Sendable {
  private let raw: ArraySlice<UInt8>

  /// - Parameter raw: one value, checked before.
  init(_ raw: ArraySlice<UInt8>) { self.raw = raw }

  var isObject: Bool { raw.first == 0x7b }
  /// In bytes.
  var size: Int { raw.count }

  /// The value itself: scalars are read, containers stay.
  var value: ExprValue {
    switch raw.first {
    case 0x7b, 0x5b: .json(self)
    case 0x22: .string(Self.text(raw.dropFirst().dropLast()))
    case 0x74: .bool(true)
    case 0x66: .bool(false)
    case 0x6e: .null
    default: .float(Self.number(raw))
    }
  }

  private static func text(_ content: ArraySlice<UInt8>) -> ByteString {
    guard content.contains(0x5c) else { return ByteString(content) }
    let parsed = try? JSON(parsing: [0x22] + content + [0x22])
    guard case .string(let text) = parsed else { return ByteString(content) }
    return ByteString(text)
  }

  private static func number(_ text: ArraySlice<UInt8>) -> Double {
    if text.count < 16, text.allSatisfy({ (0x30...0x39).contains($0) }) {
      return Double(text.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }
    return Double(String(decoding: text, as: UTF8.self)) ?? 0
  }

  /// The member of that name; of several the last, as when Go reads JSON into a map.
  func member(_ name: ByteString) -> ExprValue? {
    guard isObject else { return nil }
    var found: ArraySlice<UInt8>?
    each { key, value in
      let isEqual =
        key.count == name.count
        ? key.elementsEqual(name.bytes) : key.contains(0x5c) && Self.text(key) == name
      if isEqual { found = value }
    }
    return found.map { ExprJSON($0).value }
  }

  /// The members of an object in their order.
  var members: [(name: ByteString, value: ExprJSON)] {
    var found: [(ByteString, ExprJSON)] = []
    each { found.append((Self.text($0), ExprJSON($1))) }
    return found
  }

  /// As a list or map of its own, one level deep.
  var opened: ExprValue {
    if isObject {
      return .map(ExprMap(members.map { (.string($0.name), $0.value.value) }))
    }
    var items: [ExprValue] = []
    each { items.append(ExprJSON($1).value) }
    return .array(ExprArray(items))
  }

  /// Calls `body` with the key's content (empty in a list) and the bytes of each value.
  private func each(_ body: (ArraySlice<UInt8>, ArraySlice<UInt8>) -> Void) {
    let base = raw.startIndex
    let isObject = isObject
    let bytes = raw.span
    var at = passSpace(bytes, 1)
    while bytes[at] != 0x7d && bytes[at] != 0x5d {
      var key = 0..<0
      if isObject {
        let end = passString(bytes, at)
        key = at + 1..<end - 1
        at = passSpace(bytes, passSpace(bytes, end) + 1)
      }
      let end = passValue(bytes, at)
      body(
        raw[base + key.lowerBound..<base + key.upperBound],
        raw[base + at..<base + end]
      )
      at = passSpace(bytes, end)
      if bytes[at] == 0x2c { at = passSpace(bytes, at + 1) }
    }
  }
}

// Steps over checked JSON: each returns the place behind what it passes.

private func passSpace(_ bytes: Span<UInt8>, _ start: Int) -> Int {
  var at = start
  while bytes[at] == 0x20 || (bytes[at] >= 0x09 && bytes[at] <= 0x0d) { at += 1 }
  return at
}

private func passString(_ bytes: Span<UInt8>, _ start: Int) -> Int {
  var at = start + 1
  while true {
    while at + 8 <= bytes.count {
      let word = eight(bytes, at)
      let found = word.places(of: 0x22) | word.places(of: 0x5c)
      if found != 0 {
        at += found.trailingZeroBitCount / 8
        break
      }
      at += 8
    }
    if bytes[at] == 0x22 { return at + 1 }
    at += bytes[at] == 0x5c ? 2 : 1
  }
}

private func passValue(_ bytes: Span<UInt8>, _ start: Int) -> Int {
  var at = start
  switch bytes[at] {
  case 0x22: return passString(bytes, at)
  case 0x7b, 0x5b: return passContainer(bytes, at)
  default:
    while at < bytes.count {
      switch bytes[at] {
      case 0x2c, 0x7d, 0x5d, 0x20, 0x09...0x0d: return at
      default: at += 1
      }
    }
    return at
  }
}

private func passContainer(_ bytes: Span<UInt8>, _ start: Int) -> Int {
  var at = start
  var depth = 0
  repeat {
    while at + 8 <= bytes.count {
      let word = eight(bytes, at)
      // The bit apart, an opening bracket is an opening brace and a closing one a closing brace.
      let folded = word | 0x2020_2020_2020_2020
      let found = word.places(of: 0x22) | folded.places(of: 0x7b) | folded.places(of: 0x7d)
      if found != 0 {
        at += found.trailingZeroBitCount / 8
        break
      }
      at += 8
    }
    switch bytes[at] {
    case 0x22:
      at = passString(bytes, at)
      continue
    case 0x7b, 0x5b: depth += 1
    case 0x7d, 0x5d: depth -= 1
    default: break
    }
    at += 1
  } while depth > 0
  return at
}

/// The next eight bytes, the first of them in the lowest bits.
private func eight(_ bytes: Span<UInt8>, _ at: Int) -> UInt64 {
  let raw = unsafe bytes.bytes
  return unsafe UInt64(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
}

extension UInt64 {
  /// Marks bytes that are `byte`: the lowest mark is right, those above it may be wrong.
  fileprivate func places(of byte: UInt8) -> UInt64 {
    let rest = self ^ (UInt64(byte) &* 0x0101_0101_0101_0101)
    return (rest &- 0x0101_0101_0101_0101) & ~rest & 0x8080_8080_8080_8080
  }
}
