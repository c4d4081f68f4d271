/// A JSON document kept as the bytes that were sent, checked once.
package struct JSONDocument: Sendable {
  /// All that was sent, white space around the value included.
  package let bytes: [UInt8]
  package let root: JSONValue

  /// - Throws: `JSONError` for anything but one JSON value.
  package init(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
    var scanner = JSONScanner(bytes, limits: limits)
    let range = try scanner.document { (scanner, depth) throws(JSONError) -> Range<Int> in
      let start = scanner.at
      try scanner.pass(depth)
      return start..<scanner.at
    }
    self.bytes = bytes
    root = JSONValue(raw: bytes[range])
  }

  /// The value a path leads to; nil where it leads nowhere.
  package func value(at path: JSONPath) -> JSONValue? { path.value(in: self) }

  /// The value behind keys, none of which is read as a path.
  package func value(of keys: String...) -> JSONValue? { value(at: keys.map { Array($0.utf8) }) }

  /// The value behind keys and indices; no memory is taken on the way.
  func value(at keys: [[UInt8]]) -> JSONValue? {
    Walk(root.raw).find(keys[...]).map { JSONValue(raw: bytes[$0]) }
  }

  /// The document, which must be an object, with `members` after its own. Members of the same
  /// names are left out; everything else stays byte for byte. nil for anything but an object.
  package func objectByAppending(_ members: [JSON.Member]) -> [UInt8]? {
    guard root.kind == .object else { return nil }
    let names = Set(members.map(\.key))
    let own = Walk(root.raw).members
    var out: [UInt8]
    if own.contains(where: { names.contains($0.key) }) {
      let kept = own.filter { !names.contains($0.key) }.map { root.raw[$0.range] }
      out = [0x7b] + Array(kept.joined(separator: [0x2c]))
      if !kept.isEmpty { out.append(0x2c) }
    } else {
      out = Array(root.raw.dropLast())
      if !own.isEmpty { out.append(0x2c) }
    }
    let tail = JSON.object(members).encoded().dropFirst()
    return members.isEmpty ? Array(root.raw) : out + tail
  }
}

/// Steps through the items of a container whose bytes were checked before.
struct Walk {
  private let bytes: ArraySlice<UInt8>
  private(set) var at: Int

  init(_ container: ArraySlice<UInt8>) {
    bytes = container
    at = container.startIndex
  }

  /// The members of an object: decoded key, and the range from key to value.
  var members: [(key: String, range: Range<Int>)] {
    var walk = self
    var members: [(String, Range<Int>)] = []
    while walk.nextItem() {
      let key = walk.value()
      walk.colon()
      let value = walk.value()
      members.append(
        (unescaped(bytes[key].dropFirst().dropLast()), key.lowerBound..<value.upperBound)
      )
    }
    return members
  }

  /// The value behind `keys`; nil where there is none. A member that matches but leads nowhere
  /// does not keep a later one of its name from being found.
  func find(_ keys: ArraySlice<[UInt8]>) -> Range<Int>? {
    guard let key = keys.first else { return nil }
    return bytes[at] == 0x7b ? member(key, keys.dropFirst()) : element(key, keys.dropFirst())
  }

  private func member(_ wanted: [UInt8], _ rest: ArraySlice<[UInt8]>) -> Range<Int>? {
    var walk = self
    while walk.nextItem() {
      let keyRange = walk.value()
      walk.colon()
      let key = bytes[keyRange.lowerBound + 1..<keyRange.upperBound - 1]
      guard isKey(key, wanted) else {
        _ = walk.value()
        continue
      }
      let start = walk.at
      let range = walk.value()
      if rest.isEmpty { return range }
      guard bytes[start] == 0x7b || bytes[start] == 0x5b else { continue }
      if let found = inside(range).find(rest) { return found }
    }
    return nil
  }

  private func isKey(_ key: ArraySlice<UInt8>, _ wanted: [UInt8]) -> Bool {
    if key.count == wanted.count, key.elementsEqual(wanted) { return !key.contains(0x5c) }
    return key.count > wanted.count && key.contains(0x5c) && looselyUnescaped(key) == wanted
  }

  private func element(_ wanted: [UInt8], _ rest: ArraySlice<[UInt8]>) -> Range<Int>? {
    guard !wanted.isEmpty, wanted.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    let index = wanted.reduce(0 as UInt64) { $0 &* 10 &+ UInt64($1 - 0x30) }
    var walk = self
    var number: UInt64 = 0
    while walk.nextItem() {
      let range = walk.value()
      if number == index {
        if rest.isEmpty { return range }
        let byte = bytes[range.lowerBound]
        return byte == 0x7b || byte == 0x5b ? inside(range).find(rest) : nil
      }
      number += 1
    }
    return nil
  }

  private func inside(_ range: Range<Int>) -> Walk { Walk(bytes[range]) }

  /// Moves to the next item, over the opening bracket or a comma; false behind the last.
  mutating func nextItem() -> Bool {
    space()
    if bytes[at] == 0x7d || bytes[at] == 0x5d { return false }
    at += 1
    space()
    return bytes[at] != 0x7d && bytes[at] != 0x5d
  }

  mutating func colon() {
    while bytes[at] != 0x3a { at += 1 }
    at += 1
    space()
  }

  /// Passes over one value.
  mutating func value() -> Range<Int> {
    let start = at
    switch bytes[at] {
    case 0x22: at = bytes.stringEnd(at + 1) ?? bytes.endIndex
    case 0x7b, 0x5b: at = bytes.upTo(bytes.containerEnd(at + 1)).endIndex
    default:
      while at < bytes.endIndex {
        switch bytes[at] {
        case 0x2c, 0x7d, 0x5d, 0x20, 0x0a, 0x0d, 0x09: return start..<at
        default: at += 1
        }
      }
    }
    return start..<at
  }

  private mutating func space() {
    while isSpace(bytes[at]) { at += 1 }
  }
}
