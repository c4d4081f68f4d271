/// A value in a checked document. Its parts are found without copying or decoding anything, and
/// what is not looked into is stepped over at once.
package struct JSONNode: Sendable {
  /// Of the whole document.
  let bytes: [UInt8]
  private let containers: [JSONContainer]
  private let start: UInt32
  private let end: UInt32
  private let number: UInt32

  init(_ bytes: [UInt8], _ containers: [JSONContainer], _ place: JSONPlace) {
    self.bytes = bytes
    self.containers = containers
    // A document is no longer than its offsets reach.
    start = UInt32(truncatingIfNeeded: place.start)
    end = UInt32(truncatingIfNeeded: place.end)
    number = UInt32(truncatingIfNeeded: place.number)
  }

  /// The exact bytes; never empty.
  package var raw: ArraySlice<UInt8> { bytes[Int(start)..<Int(end)] }
  package var firstByte: UInt8 { bytes[Int(start)] }
  package var isObject: Bool { firstByte == 0x7b }
  package var isArray: Bool { firstByte == 0x5b }
  /// In a checked document nothing but null begins so.
  var isNull: Bool { firstByte == 0x6e }
  /// In bytes.
  package var size: Int { Int(end - start) }
  package var value: JSONValue { JSONValue(raw: raw) }

  private var place: JSONPlace {
    JSONPlace(start: Int(start), end: Int(end), number: Int(number))
  }

  /// The part of the document that stands there.
  func node(_ place: JSONPlace) -> JSONNode { JSONNode(bytes, containers, place) }

  private var walk: JSONItems { JSONItems(bytes, containers, in: place) }

  /// The members of an object in their order, keys as written without their quotes; none of
  /// anything else.
  package var members: [(key: ArraySlice<UInt8>, value: JSONNode)] {
    places.map { (bytes[$0.key], node($0.value)) }
  }

  /// Where the members of an object stand, keys without their quotes; none of anything else.
  var places: [(key: Range<Int>, value: JSONPlace)] {
    guard isObject else { return [] }
    var found: [(key: Range<Int>, value: JSONPlace)] = []
    found.reserveCapacity(16)
    var walk = walk
    while walk.next() { found.append((walk.key(), walk.value())) }
    return found
  }

  /// The items of an array; none of anything else.
  package var items: [JSONNode] {
    guard isArray else { return [] }
    var found: [JSONNode] = []
    var walk = walk
    while walk.next() { found.append(node(walk.value())) }
    return found
  }

  /// The strings of an array that are not empty; nil of anything else.
  var texts: [JSONValue]? {
    guard isArray else { return nil }
    var found: [JSONValue] = []
    var walk = walk
    while walk.next() {
      let item = walk.value().range
      if bytes[item.lowerBound] == 0x22, item.count > 2 {
        found.append(JSONValue(raw: bytes[item]))
      }
    }
    return found
  }

  /// The last member of a name, given without escapes, as when Go reads an object into a map.
  package func lastMember(_ name: ArraySlice<UInt8>) -> JSONNode? {
    guard isObject else { return nil }
    var found: JSONPlace?
    var walk = walk
    while walk.next() {
      let key = walk.key()
      let value = walk.value()
      if isKey(key, name) { found = value }
    }
    guard let found else { return nil }
    return node(found)
  }

  /// Whether any key of an object has one of these bytes as it is written, or an escape.
  package func hasKey(with marks: (UInt8, UInt8)) -> Bool {
    guard isObject else { return false }
    var walk = walk
    while walk.next() {
      for place in walk.key() {
        let byte = bytes[place]
        if byte == marks.0 || byte == marks.1 || byte == 0x5c { return true }
      }
      _ = walk.value()
    }
    return false
  }

  /// The value behind keys and indices, of several members of one name the first that leads
  /// there; no memory is taken on the way.
  func find(_ keys: [[UInt8]]) -> JSONNode? {
    guard let found = find(keys, 0, in: place) else { return nil }
    return node(found)
  }

  private func find(_ keys: [[UInt8]], _ depth: Int, in container: JSONPlace) -> JSONPlace? {
    if depth == keys.count { return container }
    switch bytes[container.start] {
    case 0x7b: return member(keys, depth, in: container)
    case 0x5b: return element(keys, depth, in: container)
    default: return nil
    }
  }

  private func member(_ keys: [[UInt8]], _ depth: Int, in container: JSONPlace) -> JSONPlace? {
    var walk = JSONItems(bytes, containers, in: container)
    while walk.next() {
      let key = walk.key()
      let value = walk.value()
      // One that matches but leads nowhere does not keep a later one from being found.
      if isKey(key, keys[depth][...]), let found = find(keys, depth + 1, in: value) {
        return found
      }
    }
    return nil
  }

  /// Whether the key that stands there is the wanted one, which has no escapes.
  func isKey(_ key: Range<Int>, _ wanted: ArraySlice<UInt8>) -> Bool {
    if key.count == wanted.count {
      for offset in 0..<key.count
      where bytes[key.lowerBound + offset] != wanted[wanted.startIndex + offset] { return false }
      return !bytes[key].contains(0x5c)
    }
    guard key.count > wanted.count, bytes[key].contains(0x5c) else { return false }
    return looselyUnescaped(bytes[key])[...].isSame(wanted)
  }

  private func element(_ keys: [[UInt8]], _ depth: Int, in container: JSONPlace) -> JSONPlace? {
    let digits = keys[depth]
    guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    let index = digits.reduce(0 as UInt64) { $0 &* 10 &+ UInt64($1 - 0x30) }
    var walk = JSONItems(bytes, containers, in: container)
    var number: UInt64 = 0
    while walk.next() {
      let value = walk.value()
      if number == index { return find(keys, depth + 1, in: value) }
      number += 1
    }
    return nil
  }
}
