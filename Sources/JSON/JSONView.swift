extension JSONDocument {
  /// The document, to be stepped through.
  package var view: JSONView { JSONView(value: root) }
}

/// A value inside a checked document. Its parts are found without copying or decoding anything.
package struct JSONView: Sendable {
  package let value: JSONValue

  fileprivate init(value: JSONValue) { self.value = value }

  /// The members of an object, all found in one pass; none of anything else.
  package var fields: JSONFields {
    var fields = JSONFields()
    guard value.kind == .object else { return fields }
    var walk = Walk(value.raw)
    while walk.nextItem() {
      let key = walk.value()
      walk.colon()
      let range = walk.value()
      fields.entries.append(
        (
          value.raw[key.lowerBound + 1..<key.upperBound - 1],
          JSONView(value: JSONValue(raw: value.raw[range]))
        )
      )
    }
    return fields
  }

  /// The items of an array; none of anything else.
  package var items: [JSONView] {
    guard value.kind == .array else { return [] }
    var items: [JSONView] = []
    var walk = Walk(value.raw)
    while walk.nextItem() { items.append(JSONView(value: JSONValue(raw: value.raw[walk.value()]))) }
    return items
  }

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
