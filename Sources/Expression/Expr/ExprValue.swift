package import JSON

/// A value of an expression (spec section 1.4). The cases are the types of the original, as far
/// as an expression can tell them apart.
package enum ExprValue: Sendable {
  case null
  case bool(Bool)
  case int(Int)
  /// What indexing a string gives.
  case byte(UInt8)
  case float(Double)
  case string(ByteString)
  case array(ExprArray)
  case map(ExprMap)
  /// A list or object of checked JSON, read where it is looked into.
  case json(ExprJSON)
  case time(GoTime)
  /// Nanoseconds.
  case duration(Int)
  case zone(GoZone)
  /// From 1.
  case month(Int)
  /// From 0, a Sunday.
  case weekday(Int)
  case function(ExprFunction)

  package static func string(_ text: String) -> ExprValue { .string(ByteString(text)) }

  /// Nil, or a list that was never made.
  var isNil: Bool {
    switch self {
    case .null: true
    case .array(let array): array.isNil
    default: false
    }
  }

  var isList: Bool {
    switch self {
    case .array: true
    case .json(let json): !json.isObject
    default: false
    }
  }

  /// The value of JSON, its numbers all floats.
  package init(_ document: JSONDocument) { self = ExprJSON(document.node).value }

  /// The value of JSON; where `integers`, numbers without fraction and exponent are ints.
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
    case .array(let items):
      self = .array(ExprArray(items.map { ExprValue($0, integers: integers) }))
    case .object(let members):
      self = .map(
        ExprMap(
          members.map {
            (.string(ByteString($0.key)), ExprValue($0.value, integers: integers))
          }
        )
      )
    }
  }

  /// JSON containers as lists and maps of their own, one level deep.
  package var opened: ExprValue {
    guard case .json(let json) = self else { return self }
    return json.opened
  }

  /// The Go type, as messages name it.
  var typeName: String {
    switch self {
    case .null: "nil"
    case .bool: "bool"
    case .int: "int"
    case .byte: "uint8"
    case .float: "float64"
    case .string: "string"
    case .array: "a list"
    case .map: "a map"
    case .json(let json): json.isObject ? "a map" : "a list"
    case .time: "a time"
    case .duration: "a duration"
    case .zone: "a time zone"
    case .month: "a month"
    case .weekday: "a weekday"
    case .function: "a function"
    }
  }
}

/// A list. The original has lists of several Go types, which some functions and `==` tell apart.
package final class ExprArray: Sendable {
  package enum Element: Sendable {
    case any, int, string, byte
    /// Of `toPairs`.
    case pairs
    /// One of `toPairs`.
    case pair
  }

  package let items: [ExprValue]
  package let element: Element
  /// A list without memory of its own equals nil.
  package let isNil: Bool
  /// Levels of lists and maps, this one included.
  let depth: Int
  /// About how long it takes to look at everything within.
  let weight: Int

  package init(_ items: [ExprValue], _ element: Element = .any, isNil: Bool = false) {
    self.items = items
    self.element = element
    self.isNil = isNil
    var size = ExprSize()
    for item in items { size.add(item) }
    (depth, weight) = (size.depth + 1, size.weight)
  }
}

/// What the parts of a list or map add up to.
private struct ExprSize {
  var depth = 0
  var weight = 0

  mutating func add(_ value: ExprValue) {
    depth = max(depth, value.depth)
    // Parts may be shared, so that the sum grows without bounds while memory does not.
    weight = min(weight + 1 + value.weight, ExprLimits.work)
  }
}

extension ExprValue {
  fileprivate var depth: Int {
    switch self {
    case .array(let array): array.depth
    case .map(let map): map.depth
    case .json: 1
    default: 0
    }
  }

  /// About how long it takes to look at everything within.
  var weight: Int {
    switch self {
    case .string(let text): text.count / 16
    case .json(let json): json.size / 16
    case .array(let array): array.weight
    case .map(let map): map.weight
    default: 0
    }
  }

  /// - Throws: for lists and maps that are nested so deep that looking at them would take all of
  ///   the stack.
  func bounded() throws(ExprFailure) -> ExprValue {
    guard depth <= ExprLimits.depth else { throw ExprFailure("nested too deep") }
    return self
  }
}

/// A key of a map: values that the original can compare.
package enum ExprKey: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  case byte(UInt8)
  case float(Double)
  case string(ByteString)
  case duration(Int)
  case month(Int)
  case weekday(Int)
  /// Nanoseconds since 1970, and the zone.
  case time(Int, Int, String)

  /// nil for what cannot be a key: lists, maps, functions.
  init?(_ value: ExprValue) {
    switch value {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .byte(let value): self = .byte(value)
    case .float(let value): self = .float(value)
    case .string(let value): self = .string(value)
    case .duration(let value): self = .duration(value)
    case .month(let value): self = .month(value)
    case .weekday(let value): self = .weekday(value)
    case .time(let time): self = .time(time.seconds, time.nanoseconds, time.zone.name)
    default: return nil
    }
  }

  /// The value; times come back as text, since nothing reads them again.
  package var value: ExprValue {
    switch self {
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .byte(let value): .byte(value)
    case .float(let value): .float(value)
    case .string(let value): .string(value)
    case .duration(let value): .duration(value)
    case .month(let value): .month(value)
    case .weekday(let value): .weekday(value)
    case .time(let seconds, let nanoseconds, _):
      .time(GoTime(seconds: seconds, nanoseconds: nanoseconds, zone: .utc))
    }
  }

  private var rank: Int {
    switch self {
    case .null: 0
    case .int, .byte: 1
    case .float: 2
    case .string: 3
    case .bool: 4
    default: 5
    }
  }

  /// The order in which maps are printed.
  package static func ascending(_ a: ExprKey, _ b: ExprKey) -> Bool {
    switch (a, b) {
    case (.string(let a), .string(let b)): a < b
    case (.int(let a), .int(let b)): a < b
    case (.byte(let a), .byte(let b)): a < b
    case (.float(let a), .float(let b)): a < b
    case (.bool(let a), .bool(let b)): !a && b
    case (.duration(let a), .duration(let b)): a < b
    case (.month(let a), .month(let b)): a < b
    case (.weekday(let a), .weekday(let b)): a < b
    default: a.rank < b.rank
    }
  }
}

/// A map. Its keys have no order; where one is needed it is the sorted one.
package final class ExprMap: Sendable {
  package enum Keys: Sendable {
    /// Only strings, as in JSON and in literals.
    case strings
    /// Anything that can be compared.
    case any
    /// Like `any`; what is missing is an empty list.
    case groups
  }

  package let values: [ExprKey: ExprValue]
  package let keys: Keys
  let depth: Int
  let weight: Int

  package init(_ values: [ExprKey: ExprValue], _ keys: Keys = .strings) {
    self.values = values
    self.keys = keys
    var size = ExprSize()
    for value in values.values { size.add(value) }
    (depth, weight) = (size.depth + 1, size.weight)
  }

  /// Of several values for one key the last counts.
  package convenience init(_ pairs: [(ExprKey, ExprValue)]) {
    self.init(Dictionary(pairs, uniquingKeysWith: { $1 }))
  }

  package var sorted: [(key: ExprKey, value: ExprValue)] {
    values.sorted { ExprKey.ascending($0.key, $1.key) }
  }
}

/// A function as a value: given by the environment, or a method of a value.
package final class ExprFunction: Sendable {
  package typealias Call =
    @Sendable ([ExprValue], inout ExprRun) throws(ExprFailure) -> ExprValue

  let call: Call

  /// - Parameter call: throws `ExprFailure` in words that need no place.
  package init(_ call: @escaping Call) { self.call = call }
}

/// Why a function failed; the expression adds the place.
package struct ExprFailure: Error {
  package let message: String

  package init(_ message: String) { self.message = message }
}
