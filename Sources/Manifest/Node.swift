package import JSON

/// A YAML or JSON value with the place it was written at.
package struct Node: Sendable {
  package enum Value: Sendable {
    case null
    case bool(Bool)
    /// A number as written.
    case number(String)
    case string(String)
    case sequence([Node])
    case mapping([Entry])
  }

  package struct Entry: Sendable {
    package let key: String
    package let mark: Mark
    package let node: Node

    package init(key: String, mark: Mark, node: Node) {
      self.key = key
      self.mark = mark
      self.node = node
    }
  }

  package let value: Value
  package let mark: Mark

  package init(_ value: Value, _ mark: Mark) {
    self.value = value
    self.mark = mark
  }

  /// What it is, in an author's words: "a string", "a mapping".
  package var kindName: String {
    switch value {
    case .null: "nothing"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .sequence: "a list"
    case .mapping: "a mapping"
    }
  }

  package subscript(key: String) -> Node? {
    guard case .mapping(let entries) = value else { return nil }
    return entries.first { $0.key == key }?.node
  }

  /// The same value without places.
  package var json: JSON {
    switch value {
    case .null: .null
    case .bool(let bool): .bool(bool)
    case .number(let text): .number(text)
    case .string(let text): .string(text)
    case .sequence(let nodes): .array(nodes.map(\.json))
    case .mapping(let entries):
      .object(entries.map { JSON.Member(key: $0.key, value: $0.node.json) })
    }
  }

  /// A value that was computed; every part of it carries the one `mark`.
  package init(_ json: JSON, at mark: Mark) {
    self.mark = mark
    value =
      switch json {
      case .null: .null
      case .bool(let bool): .bool(bool)
      case .number(let text): .number(text)
      case .string(let text): .string(text)
      case .array(let items): .sequence(items.map { Node($0, at: mark) })
      case .object(let members):
        .mapping(members.map { Entry(key: $0.key, mark: mark, node: Node($0.value, at: mark)) })
      }
  }
}
