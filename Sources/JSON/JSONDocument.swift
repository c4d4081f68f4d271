/// A JSON document kept as the bytes that were sent, checked once.
package struct JSONDocument: Sendable {
  /// All that was sent, white space around the value included.
  package let bytes: [UInt8]
  package let node: JSONNode

  /// - Throws: `JSONError` for anything but one JSON value, and for more than 4 GiB.
  package init(_ bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
    guard bytes.count <= UInt32.max else {
      throw JSONError(offset: 0, message: "the document is larger than 4 GiB")
    }
    var scanner = JSONScanner(bytes, limits: limits)
    let range = try scanner.document { (scanner, depth) throws(JSONError) -> Range<Int> in
      let start = scanner.at
      try scanner.pass(depth)
      return start..<scanner.at
    }
    self.bytes = bytes
    let place = JSONPlace(start: range.lowerBound, end: range.upperBound, number: 0)
    node = JSONNode(bytes, scanner.containers, place)
  }

  package var root: JSONValue { node.value }

  /// The value a path leads to; nil where it leads nowhere.
  package func value(at path: JSONPath) -> JSONValue? { path.value(in: self) }

  /// The value behind keys, none of which is read as a path.
  package func value(of keys: String...) -> JSONValue? {
    node.find(keys.map { Array($0.utf8) })?.value
  }

  /// The document, which must be an object, with `members` after its own. Members of the same
  /// names are left out; everything else stays byte for byte. nil for anything but an object.
  package func objectByAppending(_ members: [JSON.Member]) -> [UInt8]? {
    guard node.isObject else { return nil }
    let raw = node.raw
    guard !members.isEmpty else { return Array(raw) }
    let names = members.map { Array($0.key.utf8) }
    let own = node.places
    let kept = own.filter { member in !names.contains { node.isKey(member.key, $0[...]) } }
    let tail = JSON.object(members).encoded().dropFirst()
    var out: [UInt8] = []
    out.reserveCapacity(raw.count + tail.count + 1)
    if kept.count == own.count {
      out += raw[..<(raw.endIndex - 1)]
    } else {
      out.append(0x7b)
      out += kept.map { raw[($0.key.lowerBound - 1)..<$0.value.end] }.joined(separator: [0x2c])
    }
    if !kept.isEmpty { out.append(0x2c) }
    out += tail
    return out
  }
}
