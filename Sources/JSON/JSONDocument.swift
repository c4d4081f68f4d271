/// A JSON document kept as the bytes that were sent, checked once.
package struct JSONDocument: Sendable {
  package let root: JSONValue

  /// - Throws: `JSONError` for anything but one JSON value.
  package init(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
    var scanner = JSONScanner(bytes, limits: limits)
    let range = try scanner.document { (scanner, depth) throws(JSONError) -> Range<Int> in
      let start = scanner.at
      try scanner.pass(depth)
      return start..<scanner.at
    }
    root = JSONValue(raw: bytes[range])
  }

  /// The value a path leads to; nil where it leads nowhere.
  package func value(at path: JSONPath) -> JSONValue? {
    var value = root
    for segment in path.segments {
      guard let next = value.child(segment) else { return nil }
      value = next
    }
    return value
  }

  /// The document, which must be an object, with `members` after its own. Members of the same
  /// names are left out; everything else stays byte for byte. nil for anything but an object.
  package func objectByAppending(_ members: [JSON.Member]) -> [UInt8]? {
    guard root.kind == .object else { return nil }
    let names = Set(members.map(\.key))
    let own = root.members
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

/// A value within a checked document.
package struct JSONValue: Sendable {
  package enum Kind: Sendable, Equatable { case null, bool, number, string, array, object }

  /// The exact bytes.
  package let raw: ArraySlice<UInt8>

  package var kind: Kind {
    switch raw.first {
    case 0x7b: .object
    case 0x5b: .array
    case 0x22: .string
    case 0x74, 0x66: .bool
    case 0x6e: .null
    default: .number
    }
  }

  /// The string form (spec section 4.2): strings without quotes, null empty, integers as
  /// written, other numbers in their shortest form, arrays and objects as written.
  package var string: String {
    switch kind {
    case .string: unescaped(raw.dropFirst().dropLast())
    case .null: ""
    case .number: numberText
    default: String(decoding: raw, as: UTF8.self)
    }
  }

  /// The value of a number; 0 for anything else.
  package var double: Double {
    kind == .number ? Double(String(decoding: raw, as: UTF8.self)) ?? 0 : 0
  }

  package var isTrue: Bool { raw.first == 0x74 }

  /// The value as a tree.
  package var json: JSON {
    do throws(JSONError) { return try JSON(parsing: Array(raw)) } catch {
      preconditionFailure("a checked value does not parse: \(error)")
    }
  }

  private var numberText: String {
    let text = String(decoding: raw, as: UTF8.self)
    if text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2d }) { return text }
    guard let number = Double(text), number.isFinite else { return text }
    return plainDecimal(number)
  }

  /// The members of an object: decoded key, and the range from key to value in the document.
  var members: [(key: String, range: Range<Int>, value: ArraySlice<UInt8>)] {
    guard kind == .object else { return [] }
    var walk = Walk(raw)
    var members: [(String, Range<Int>, ArraySlice<UInt8>)] = []
    while walk.nextItem() {
      let start = walk.at
      let key = walk.value()
      walk.colon()
      let value = walk.value()
      members.append((unescaped(key.dropFirst().dropLast()), start..<walk.at, value))
    }
    return members
  }

  /// The member or element a path segment names; the first of members with one name.
  func child(_ segment: String) -> JSONValue? {
    var walk = Walk(raw)
    switch kind {
    case .object:
      let wanted = Array(segment.utf8)
      while walk.nextItem() {
        let key = walk.value().dropFirst().dropLast()
        walk.colon()
        let value = walk.value()
        let matches =
          key.contains(0x5c) ? unescaped(key) == segment : key.elementsEqual(wanted)
        if matches { return JSONValue(raw: value) }
      }
    case .array:
      guard segment.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let index = Int(segment)
      else { return nil }
      var number = 0
      while walk.nextItem() {
        let value = walk.value()
        if number == index { return JSONValue(raw: value) }
        number += 1
      }
    default: break
    }
    return nil
  }

  init(raw: ArraySlice<UInt8>) { self.raw = raw }
}

/// Steps through the items of a container whose bytes were checked before.
private struct Walk {
  private let bytes: ArraySlice<UInt8>
  private(set) var at: Int

  init(_ container: ArraySlice<UInt8>) {
    bytes = container
    at = container.startIndex
  }

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
  mutating func value() -> ArraySlice<UInt8> {
    let start = at
    var depth = 0
    repeat {
      switch bytes[at] {
      case 0x22: passString()
      case 0x7b, 0x5b:
        depth += 1
        at += 1
      case 0x7d, 0x5d:
        depth -= 1
        at += 1
      case 0x2c, 0x3a, 0x20, 0x0a, 0x0d, 0x09: at += 1
      default: passScalar()
      }
    } while depth > 0
    return bytes[start..<at]
  }

  private mutating func passString() {
    at += 1
    while bytes[at] != 0x22 { at += bytes[at] == 0x5c ? 2 : 1 }
    at += 1
  }

  private mutating func passScalar() {
    while at < bytes.endIndex {
      switch bytes[at] {
      case 0x2c, 0x3a, 0x7d, 0x5d, 0x20, 0x0a, 0x0d, 0x09: return
      default: at += 1
      }
    }
  }

  private mutating func space() {
    while isSpace(bytes[at]) { at += 1 }
  }
}
