extension JSONDocument {
  /// The document, to be stepped through.
  package var view: JSONView { JSONView(node: node) }
}

/// A value inside a checked document, to be read as a form with fields.
package struct JSONView: Sendable {
  private let node: JSONNode

  fileprivate init(node: JSONNode) { self.node = node }

  package var value: JSONValue { node.value }

  /// The members of an object, all found in one pass; none of anything else.
  package var fields: JSONFields {
    JSONFields(entries: node.places, node: node)
  }

  /// The items of an array; none of anything else.
  package var items: [JSONView] { node.items.map(JSONView.init(node:)) }

  /// The strings of an array that are not empty, as they were written; nil for anything else.
  package var texts: [JSONValue]? { node.texts }

  /// A string that is not empty, as it was written; nil for anything else.
  package var textValue: JSONValue? {
    node.firstByte == 0x22 && node.size > 2 ? node.value : nil
  }
}

/// The members of an object, by their keys as written: a key with escapes is found by nobody.
package struct JSONFields: Sendable {
  package static let empty = JSONFields()

  fileprivate var entries: [(key: Range<Int>, value: JSONPlace)] = []
  /// The object; nil where there is none.
  fileprivate var node: JSONNode?

  /// The first member of that name; nil where there is none or it is null.
  package subscript(key: String) -> JSONView? {
    guard let node, let place = place(key.utf8Span.span, node.bytes.span) else { return nil }
    let value = node.node(place)
    return value.isNull ? nil : JSONView(node: value)
  }

  private func place(_ wanted: Span<UInt8>, _ bytes: Span<UInt8>) -> JSONPlace? {
    next: for entry in entries where entry.key.count == wanted.count {
      for offset in 0..<wanted.count
      where bytes[entry.key.lowerBound + offset] != wanted[offset] { continue next }
      return entry.value
    }
    return nil
  }
}
