/// Writes JSON text from front to back into one buffer: the values are written as they stand where
/// they came from, and no tree is built. Keys are our own and need no escapes.
package struct JSONWriter {
  package private(set) var bytes: [UInt8] = []
  /// Whether the next member or item stands behind another one.
  private var isBehind = false

  /// - Parameter capacity: About how many bytes will be written.
  package init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// - Parameter key: nil for an item of an array, or for the whole text.
  package mutating func object(
    _ key: String? = nil,
    _ members: (inout JSONWriter) -> Void
  ) {
    container(key, 0x7b, 0x7d, members)
  }

  package mutating func array(_ key: String? = nil, _ items: (inout JSONWriter) -> Void) {
    container(key, 0x5b, 0x5d, items)
  }

  /// A member, left out where there is no value.
  package mutating func add(_ key: String, _ value: JSONValue?) {
    guard let value else { return }
    begin(key)
    bytes.append(contentsOf: value.raw)
  }

  package mutating func add(_ key: String, _ flag: Bool?) {
    guard let flag else { return }
    begin(key)
    bytes.append(contentsOf: (flag ? "true" : "false").utf8)
  }

  package mutating func add(_ key: String, _ number: Int?) {
    guard let number else { return }
    begin(key)
    bytes.append(contentsOf: String(number).utf8)
  }

  package mutating func add(_ key: String, _ json: JSON) {
    begin(key)
    json.append(to: &bytes)
  }

  package mutating func add(_ key: String, _ items: [JSONValue]) {
    array(key) { writer in
      for item in items {
        writer.begin(nil)
        writer.bytes.append(contentsOf: item.raw)
      }
    }
  }

  private mutating func container(
    _ key: String?,
    _ opening: UInt8,
    _ closing: UInt8,
    _ content: (inout JSONWriter) -> Void
  ) {
    begin(key)
    bytes.append(opening)
    isBehind = false
    content(&self)
    bytes.append(closing)
    isBehind = true
  }

  private mutating func begin(_ key: String?) {
    if isBehind { bytes.append(0x2c) }
    isBehind = true
    guard let key else { return }
    bytes.append(0x22)
    bytes.append(contentsOf: key.utf8)
    bytes.append(0x22)
    bytes.append(0x3a)
  }
}
