package import JSON

/// A value of a template: the types of Go, as far as a template can tell them apart.
package enum GoValue {
  /// No value at all: a missing member, or nil behind a pipeline. Prints as `<no value>`.
  case absent
  /// nil as an element of a list or map.
  case null
  case bool(Bool)
  case int(Int)
  case int64(Int)
  /// What indexing a string gives (uint8).
  case byte(UInt8)
  case uint64(UInt64)
  case float(Double)
  case complex(Double, Double)
  case string(ByteString)
  case list(GoList)
  case map(GoMap)
  case time(GoTime)
  /// Nanoseconds.
  case duration(Int)
  /// From 1.
  case month(Int)
  /// From 0, a Sunday.
  case weekday(Int)
  case zone(GoZone)
  case version(SemanticVersion)

  static func string(_ text: some StringProtocol) -> GoValue { .string(ByteString(text)) }

  var isNil: Bool {
    switch self {
    case .absent, .null: true
    default: false
    }
  }

  /// The Go type, as `%T` prints it.
  package var typeName: String {
    switch self {
    case .absent, .null: "<nil>"
    case .bool: "bool"
    case .int: "int"
    case .int64: "int64"
    case .byte: "uint8"
    case .uint64: "uint64"
    case .float: "float64"
    case .complex: "complex128"
    case .string: "string"
    case .list(let list): list.element.listName
    case .map(let map): map.holdsStrings ? "map[string]string" : "map[string]interface {}"
    case .time: "time.Time"
    case .duration: "time.Duration"
    case .month: "time.Month"
    case .weekday: "time.Weekday"
    case .zone: "*time.Location"
    case .version: "*semver.Version"
    }
  }

  /// The kind of Go's `reflect`.
  package var kindName: String {
    switch self {
    case .absent, .null: "invalid"
    case .list: "slice"
    case .map: "map"
    case .time: "struct"
    case .duration: "int64"
    case .month, .weekday: "int"
    case .zone, .version: "ptr"
    default: typeName
    }
  }

  /// Whether `if` takes it; the same as not `empty`.
  package var isTrue: Bool {
    switch self {
    case .absent, .null: false
    case .bool(let value): value
    case .int(let value), .int64(let value), .duration(let value), .month(let value),
      .weekday(let value):
      value != 0
    case .byte(let value): value != 0
    case .uint64(let value): value != 0
    case .float(let value): value != 0
    case .complex(let real, let imaginary): real != 0 || imaginary != 0
    case .string(let text): !text.isEmpty
    case .list(let list): !list.items.isEmpty
    case .map(let map): map.count > 0
    case .time, .zone, .version: true
    }
  }
}

/// A slice. Nothing in a template changes one, so it is a value.
package struct GoList {
  package enum Element: Sendable {
    /// `interface {}`.
    case any
    case string, int
    /// `[]interface {}`, of `chunk`.
    case lists

    var listName: String {
      switch self {
      case .any: "[]interface {}"
      case .string: "[]string"
      case .int: "[]int"
      case .lists: "[][]interface {}"
      }
    }
  }

  package let items: [GoValue]
  package let element: Element
  /// A slice that was never made; JSON has `null` for it.
  package let isNil: Bool
  /// Lists within each other; maps count as leaves, since they can be changed later.
  let depth: Int

  package init(_ items: [GoValue], _ element: Element = .any, isNil: Bool = false) {
    self.items = items
    self.element = element
    self.isNil = isNil
    var deepest = 0
    for case .list(let list) in items { deepest = max(deepest, list.depth) }
    depth = deepest + 1
  }

  static var none: GoList { GoList([], isNil: true) }
}

/// A map with string keys. Templates change maps in place, so it is shared.
package final class GoMap {
  /// Members of JSON not looked at yet; the last of one name counts.
  private var source: [JSON.Member]?
  private var integers = false
  private var items: [ByteString: GoValue] = [:]
  let holdsStrings: Bool
  package let isNil: Bool

  package init(_ items: [ByteString: GoValue], holdsStrings: Bool = false, isNil: Bool = false) {
    self.items = items
    self.holdsStrings = holdsStrings
    self.isNil = isNil
  }

  init(_ members: [JSON.Member], integers: Bool) {
    source = members
    self.integers = integers
    holdsStrings = false
    isNil = false
  }

  package subscript(key: ByteString) -> GoValue? {
    // A container that was handed out must be the same the next time: it may be changed.
    if let found = items[key] { return found }
    guard let member = source?.last(where: { key.bytes.elementsEqual($0.key.utf8) }) else {
      return nil
    }
    let value = GoValue(member.value, integers: integers)
    switch value {
    case .list, .map: items[key] = value
    default: break
    }
    return value
  }

  package var count: Int {
    open()
    return items.count
  }

  package var keys: [ByteString] { sorted.map(\.key) }

  /// The entries by their keys, as Go prints and visits them.
  package var sorted: [(key: ByteString, value: GoValue)] {
    open()
    return items.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  func set(_ key: ByteString, _ value: GoValue) {
    open()
    items[key] = value
  }

  func remove(_ key: ByteString) {
    open()
    items[key] = nil
  }

  /// Lets go of everything within, so that circles end.
  func clear() {
    source = nil
    items = [:]
  }

  private func open() {
    guard let members = source else { return }
    source = nil
    let opened = items
    for member in members {
      let key = ByteString(member.key)
      items[key] = opened[key] ?? GoValue(member.value, integers: integers)
    }
  }
}

extension GoValue {
  /// The value of JSON; where `integers`, numbers without fraction and exponent are ints, else
  /// all are floats.
  package init(_ json: JSON, integers: Bool = false) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .number(let text):
      if integers, let value = Int(text) {
        self = .int(value)
      } else {
        self = .float(Double(text) ?? 0)
      }
    case .string(let text): self = .string(ByteString(text))
    case .array(let items): self = .list(GoList(items.map { GoValue($0, integers: integers) }))
    case .object(let members): self = .map(GoMap(members, integers: integers))
    }
  }
}
