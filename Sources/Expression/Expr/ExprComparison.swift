/// Equality, membership and access (spec sections 1.5 and 1.6).
enum ExprComparison {
  static func equal(_ a: ExprValue, _ b: ExprValue) -> Bool {
    switch (a, b) {
    case (.string(let a), .string(let b)): return a == b
    case (.int(let a), .int(let b)): return a == b
    case (.bool(let a), .bool(let b)): return a == b
    case (.duration(let a), .duration(let b)): return a == b
    case (.time(let a), .time(let b)): return GoTime.isSame(a, b)
    case (.json, _), (_, .json): return equal(a.opened, b.opened)
    case (.array(let a), .array(let b)):
      if a.isNil && b.isNil { return true }
      guard a.element == b.element || a.element == .any || b.element == .any else { return false }
      // Lists of pairs are no lists like others.
      let isPairs = [a.element, b.element].contains { $0 == .pairs || $0 == .pair }
      if isPairs { return strictlyEqual(.array(a), .array(b)) }
      return a.items.count == b.items.count && zip(a.items, b.items).allSatisfy { equal($0, $1) }
    default: break
    }
    if let x = a.number, let y = b.number { return x == y }
    if a.isNil && b.isNil { return true }
    return strictlyEqual(a, b)
  }

  /// Go's `reflect.DeepEqual`: the types must agree as well.
  static func strictlyEqual(_ a: ExprValue, _ b: ExprValue) -> Bool {
    switch (a, b) {
    case (.null, .null): return true
    case (.bool(let a), .bool(let b)): return a == b
    case (.int(let a), .int(let b)): return a == b
    case (.byte(let a), .byte(let b)): return a == b
    case (.float(let a), .float(let b)): return a == b
    case (.string(let a), .string(let b)): return a == b
    case (.duration(let a), .duration(let b)): return a == b
    case (.month(let a), .month(let b)), (.weekday(let a), .weekday(let b)): return a == b
    case (.time(let a), .time(let b)):
      return GoTime.isSame(a, b) && a.zone.name == b.zone.name
    case (.zone(let a), .zone(let b)): return a.name == b.name
    case (.json, _), (_, .json): return strictlyEqual(a.opened, b.opened)
    case (.array(let a), .array(let b)):
      return a.element == b.element && a.isNil == b.isNil && a.items.count == b.items.count
        && zip(a.items, b.items).allSatisfy { strictlyEqual($0, $1) }
    case (.map(let a), .map(let b)):
      guard a.keys == b.keys, a.values.count == b.values.count else { return false }
      return a.values.allSatisfy { key, value in
        b.values[key].map { strictlyEqual(value, $0) } ?? false
      }
    default: return false
    }
  }

  static func contains(_ list: ExprValue, _ needle: ExprValue) throws(ExprFailure) -> Bool {
    switch list {
    case .null: return false
    case .json(let json):
      if json.isObject { return try key(needle, .strings) { json.member($0) } != nil }
      return try contains(json.opened, needle)
    case .array(let array): return array.items.contains { equal($0, needle) }
    case .map(let map): return try entry(map, needle) != nil
    default: throw ExprFailure("operator \"in\" not defined on \(list.typeName)")
    }
  }

  private static func key(
    _ key: ExprValue,
    _ kind: ExprMap.Keys,
    _ find: (ByteString) -> ExprValue?
  ) throws(ExprFailure) -> ExprValue? {
    switch key {
    case .string(let name): return find(name)
    // Go asks for the zero value of the key type, the empty string.
    case .null: return find("")
    default: throw ExprFailure("a map of strings has no \(key.typeName) as a key")
    }
  }

  private static func entry(
    _ map: ExprMap,
    _ name: ExprValue
  ) throws(ExprFailure) -> ExprValue? {
    if map.keys == .strings { return try key(name, .strings) { map.values[.string($0)] } }
    guard let key = ExprKey(name) else { throw ExprFailure("\(name.typeName) cannot be a key") }
    return map.values[key]
  }

  /// `value[name]`.
  static func fetch(_ value: ExprValue, _ name: ExprValue) throws(ExprFailure) -> ExprValue {
    switch value {
    case .json(let json) where json.isObject:
      return try key(name, .strings) { json.member($0) } ?? .null
    case .json(let json): return try fetch(json.opened, name)
    case .map(let map):
      if let found = try entry(map, name) { return found }
      return map.keys == .groups ? .array(ExprArray([], isNil: true)) : .null
    case .array(let array): return array.items[try index(name, array.items.count)]
    case .string(let text):
      let place = try index(name, text.count)
      return .byte(text.bytes[text.bytes.startIndex + place])
    default:
      if case .string(let method) = name, let found = ExprMethods.method(value, method) {
        return .function(found)
      }
      throw ExprFailure("cannot fetch \(ExprPrinter.text(name)) from \(value.typeName)")
    }
  }

  private static func index(_ value: ExprValue, _ count: Int) throws(ExprFailure) -> Int {
    let wanted = try value.integer()
    let place = wanted < 0 ? count &+ wanted : wanted
    guard place >= 0, place < count else {
      throw ExprFailure("index out of range: \(place) (the length is \(count))")
    }
    return place
  }

  /// `value[from:to]`; nil bounds are the ends.
  static func slice(
    _ value: ExprValue,
    from: ExprValue?,
    to: ExprValue?
  ) throws(ExprFailure) -> ExprValue {
    func range(_ count: Int) throws(ExprFailure) -> Range<Int> {
      var end = try to?.integer() ?? count
      var start = try from?.integer() ?? 0
      if start < 0 { start = max(0, count &+ start) }
      if end < 0 { end = max(0, count &+ end) }
      end = min(end, count)
      return min(start, end)..<end
    }
    switch value.opened {
    case .array(let array):
      let part = Array(array.items[try range(array.items.count)])
      return .array(ExprArray(part, array.element))
    case .string(let text): return .string(text[try range(text.count)])
    default: throw ExprFailure("cannot slice \(value.typeName)")
    }
  }
}
