import JSON

/// A list or object in the bytes of a checked document, read only where it is looked into.
package struct ExprJSON: Sendable {
  private let node: JSONNode

  init(_ node: JSONNode) { self.node = node }

  var isObject: Bool { node.isObject }
  /// In bytes.
  var size: Int { node.size }

  /// The value itself: scalars are read, containers stay.
  var value: ExprValue {
    switch node.firstByte {
    case 0x7b, 0x5b: .json(self)
    case 0x22: .string(Self.text(node.raw.dropFirst().dropLast()))
    case 0x74: .bool(true)
    case 0x66: .bool(false)
    case 0x6e: .null
    default: .float(Self.number(node.raw))
    }
  }

  /// - Parameter content: of a checked string, without its quotes.
  static func text(_ content: ArraySlice<UInt8>) -> ByteString {
    guard content.contains(0x5c) else { return ByteString(content) }
    let parsed = try? JSON(parsing: [0x22] + content + [0x22])
    guard case .string(let text) = parsed else { return ByteString(content) }
    return ByteString(text)
  }

  static func number(_ text: ArraySlice<UInt8>) -> Double {
    text.shortDecimal ?? Double(String(decoding: text, as: UTF8.self)) ?? 0
  }

  /// The member of that name; of several the last, as when Go reads JSON into a map.
  func member(_ name: ByteString) -> ExprValue? {
    node.lastMember(name.bytes).map { ExprJSON($0).value }
  }

  /// Whether any name has one of two characters.
  func hasName(with marks: (UInt8, UInt8)) -> Bool { node.hasKey(with: marks) }

  /// The members of an object in their order.
  var members: [(name: ByteString, value: ExprJSON)] {
    node.members.map { (Self.text($0.key), ExprJSON($0.value)) }
  }

  /// As a list or map of its own, one level deep.
  var opened: ExprValue {
    if isObject {
      return .map(ExprMap(members.map { (.string($0.name), $0.value.value) }))
    }
    return .array(ExprArray(node.items.map { ExprJSON($0).value }))
  }
}
