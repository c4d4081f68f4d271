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
    JSONFields(entries: node.members.map { ($0.key, JSONView(node: $0.value)) })
  }

  /// The items of an array; none of anything else.
  package var items: [JSONView] { node.items.map(JSONView.init(node:)) }

  /// The text of a string that is not empty; nil for anything else.
  package var text: String? {
    guard value.kind == .string else { return nil }
    let text = value.string
    return text.isEmpty ? nil : text
  }
}

/// The members of an object, by their keys as written: a key with escapes is found by nobody.
package struct JSONFields: Sendable {
  package static let empty = JSONFields()

  fileprivate var entries: [(key: ArraySlice<UInt8>, value: JSONView)] = []

  /// The first member of that name; nil where there is none or it is null.
  package subscript(key: String) -> JSONView? {
    guard let entry = entries.first(where: { $0.key.elementsEqual(key.utf8) }) else { return nil }
    return entry.value.value.kind == .null ? nil : entry.value
  }
}
