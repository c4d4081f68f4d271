/// A JSONPath of the filter function `jsonpath`: `$`, members, indices, slices, unions, `*` and
/// `..`. Filters and scripts in brackets are refused by name.
struct JSONPathQuery {
  private enum Token {
    case root
    case key(ByteString)
    case length
    case index(Int)
    case wildcard
    case recursive
    case slice(from: Int?, to: Int?, step: Int)
    case keys([ByteString])
    case indices([Int])
  }

  private let tokens: [Token]

  init(_ text: ByteString) throws(ExprFailure) {
    var rest = text.bytes
    guard let first = rest.popFirst(), first == 0x24 || first == 0x40 else {
      throw ExprFailure("a JSONPath begins with $")
    }
    var tokens: [Token] = []
    while let byte = rest.first {
      if byte == 0x5b {
        let content = try Self.bracket(&rest)
        tokens.append(try Self.subscripted(content))
        continue
      }
      guard byte == 0x2e else {
        throw ExprFailure("unexpected '\(ByteString(rest))' in a JSONPath")
      }
      rest.removeFirst()
      if rest.first == 0x2e {
        tokens.append(.recursive)
        rest.removeFirst()
        if rest.first == 0x5b { continue }
      } else if rest.first == 0x5b {
        continue
      }
      let name = ByteString(rest.prefix { $0 != 0x2e && $0 != 0x5b }).trimmed {
        $0.properties.isWhitespace
      }
      rest = rest.drop { $0 != 0x2e && $0 != 0x5b }
      guard !name.isEmpty else { throw ExprFailure("a JSONPath has an empty name") }
      tokens.append(name == "*" ? .wildcard : name == "length" ? .length : .key(name))
    }
    self.tokens = tokens
  }

  /// What stands between `[` and its `]`.
  private static func bracket(_ rest: inout ArraySlice<UInt8>) throws(ExprFailure) -> ByteString {
    var quote: UInt8?
    var at = rest.startIndex + 1
    while at < rest.endIndex {
      let byte = rest[at]
      if byte == 0x5c {
        at += 2
        continue
      }
      if let open = quote {
        if byte == open { quote = nil }
      } else if byte == 0x27 || byte == 0x22 {
        quote = byte
      } else if byte == 0x5d {
        let content = ByteString(rest[(rest.startIndex + 1)..<at])
        rest = rest[(at + 1)...]
        return content.trimmed { $0.properties.isWhitespace }
      }
      at += 1
    }
    throw ExprFailure("a bracket of the JSONPath is not closed")
  }

  private static func subscripted(_ content: ByteString) throws(ExprFailure) -> Token {
    if content == "*" { return .wildcard }
    if content.hasPrefix("?") || content.contains("(") && !content.contains("'") {
      throw ExprFailure("JSONPath filters and scripts are not supported")
    }
    let parts = split(content, at: 0x2c)
    if parts.count > 1 {
      var (keys, indices): ([ByteString], [Int]) = ([], [])
      for part in parts {
        if let key = key(part) {
          keys.append(key)
        } else if let index = ExprFunctions.integer(part) {
          indices.append(index)
        } else {
          throw ExprFailure("'\(part)' is no key or index of a JSONPath")
        }
      }
      guard keys.isEmpty || indices.isEmpty else {
        throw ExprFailure("a JSONPath union has keys and indices")
      }
      return keys.isEmpty ? .indices(indices) : .keys(keys)
    }
    if let key = key(content) { return .key(key) }
    if let index = ExprFunctions.integer(content) { return .index(index) }
    let bounds = split(content, at: 0x3a)
    guard (2...3).contains(bounds.count) else {
      throw ExprFailure("'[\(content)]' is no part of a JSONPath")
    }
    var numbers: [Int?] = []
    for bound in bounds {
      let number = ExprFunctions.integer(bound)
      guard number != nil || bound.isEmpty else { throw ExprFailure("'\(bound)' is no index") }
      numbers.append(number)
    }
    let step = (numbers.count > 2 ? numbers[2] : nil) ?? 1
    guard step != 0, step != Int.min else { throw ExprFailure("a JSONPath slice has step 0") }
    return .slice(from: numbers[0], to: numbers[1], step: step)
  }

  private static func split(_ text: ByteString, at separator: UInt8) -> [ByteString] {
    var parts: [ByteString] = []
    var current: [UInt8] = []
    var quote: UInt8?
    for byte in text.bytes {
      if let open = quote {
        if byte == open { quote = nil }
      } else if byte == 0x27 || byte == 0x22 {
        quote = byte
      } else if byte == separator {
        parts.append(ByteString(current).trimmed { $0.properties.isWhitespace })
        current = []
        continue
      }
      current.append(byte)
    }
    return parts + [ByteString(current).trimmed { $0.properties.isWhitespace }]
  }

  private static func key(_ text: ByteString) -> ByteString? {
    guard text.count > 1, let quote = text.bytes.first, quote == 0x27 || quote == 0x22,
      text.bytes.last == quote
    else { return nil }
    let mark = ByteString([quote])
    return text[1..<text.count - 1].replacing("\\" + mark, mark)
  }

  /// What the path leads to in a value.
  /// - Throws: where it leads nowhere.
  func value(_ root: ExprValue) throws(ExprFailure) -> ExprValue {
    var budget = ExprLimits.elements
    return try Self.apply(tokens[...], root, &budget)
  }

  private static func apply(
    _ tokens: ArraySlice<Token>,
    _ value: ExprValue,
    _ budget: inout Int
  ) throws(ExprFailure) -> ExprValue {
    budget -= 1
    guard budget > 0 else { throw ExprFailure("memory budget exceeded") }
    guard let token = tokens.first else { return value }
    let rest = tokens.dropFirst()
    let opened = value.opened
    switch (token, opened) {
    case (.root, _): return try apply(rest, value, &budget)
    case (.key(let key), .map(let map)):
      guard let member = map.values[.string(key)] else { throw ExprFailure("no key '\(key)'") }
      return try apply(rest, member, &budget)
    case (.length, .map(let map)):
      let count = map.values[.string("length")] ?? .int(map.values.count)
      return try apply(rest, count, &budget)
    case (.length, .array(let array)): return try apply(rest, .int(array.items.count), &budget)
    case (.length, .string(let text)): return try apply(rest, .int(text.count), &budget)
    case (.index(let index), .array(let array)):
      let place = index < 0 ? array.items.count + index : index
      guard array.items.indices.contains(place) else { throw ExprFailure("no index \(index)") }
      return try apply(rest, array.items[place], &budget)
    case (.wildcard, .map(let map)):
      return .array(ExprArray(matching(rest, map.sorted.map(\.value), &budget)))
    case (.wildcard, .array(let array)):
      return .array(ExprArray(matching(rest, array.items, &budget)))
    case (.slice(let from, let to, let step), .array(let array)):
      return try several(rest, slice(array.items, from, to, step), &budget)
    case (.keys(let keys), .map(let map)):
      return try several(rest, keys.compactMap { map.values[.string($0)] }, &budget)
    case (.indices(let indices), .array(let array)):
      let found = indices.compactMap { index -> ExprValue? in
        let place = index < 0 ? array.items.count + index : index
        return array.items.indices.contains(place) ? array.items[place] : nil
      }
      return try several(rest, found, &budget)
    case (.recursive, _): return .array(ExprArray(descend(rest, opened, &budget)))
    default: throw ExprFailure("\(value.typeName) does not fit the JSONPath")
    }
  }

  /// The rest of the path for each value; those for which it leads nowhere or to nil are left out.
  private static func matching(
    _ rest: ArraySlice<Token>,
    _ values: [ExprValue],
    _ budget: inout Int
  ) -> [ExprValue] {
    guard !rest.isEmpty else { return values }
    var found: [ExprValue] = []
    for value in values {
      do throws(ExprFailure) {
        let result = try apply(rest, value, &budget)
        if !result.isNil { found.append(result) }
      } catch { continue }
    }
    return found
  }

  /// An index behind a slice or union picks one of its values; anything else goes on from each.
  private static func several(
    _ rest: ArraySlice<Token>,
    _ values: [ExprValue],
    _ budget: inout Int
  ) throws(ExprFailure) -> ExprValue {
    if case .index? = rest.first { return try apply(rest, .array(ExprArray(values)), &budget) }
    return .array(ExprArray(matching(rest, values, &budget)))
  }

  private static func slice(_ items: [ExprValue], _ from: Int?, _ to: Int?, _ step: Int)
    -> [ExprValue]
  {
    func bound(_ value: Int?, _ otherwise: Int) -> Int {
      guard let value else { return otherwise }
      return min(max(value < 0 ? items.count &+ value : value, 0), items.count)
    }
    let (start, end) = (bound(from, 0), bound(to, items.count))
    guard start < end else { return [] }
    return step > 0
      ? stride(from: start, to: end, by: step).map { items[$0] }
      : stride(from: end - 1, through: start, by: step).map { items[$0] }
  }

  /// The rest of the path for the value and all within it, in one list.
  private static func descend(
    _ rest: ArraySlice<Token>,
    _ value: ExprValue,
    _ budget: inout Int
  ) -> [ExprValue] {
    var found: [ExprValue] = []
    let own = matching(rest, [value], &budget)
    if rest.isEmpty {
      found = own
    } else if case .array(let array)? = own.first?.opened {
      found = array.items
    } else {
      found = own
    }
    let inner: [ExprValue]
    switch value {
    case .array(let array): inner = array.items
    case .map(let map): inner = map.sorted.map(\.value)
    default: return found
    }
    for item in inner where !item.isNil && budget > 0 {
      found += descend(rest, item.opened, &budget)
    }
    return found
  }
}
