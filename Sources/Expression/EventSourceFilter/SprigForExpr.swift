/// Functions of sprig as values of an event source's filter. The process environment holds
/// secrets, so `env` and `expandenv` are not among them, here as in Argo Events.
enum SprigForExpr {
  private typealias Call = ExprFunction.Call

  static let all = ExprMap(
    texts.merging(values) { $1 }.map { (.string($0.key), .function(ExprFunction($0.value))) }
  )

  private static func text(_ arguments: [ExprValue], _ place: Int) throws(ExprFailure) -> ByteString
  {
    try ExprFunctions.argument(arguments, place).text()
  }

  private static func list(_ arguments: [ExprValue], _ place: Int) throws(ExprFailure)
    -> [ExprValue]
  {
    guard case .array(let array) = try ExprFunctions.argument(arguments, place).opened else {
      throw ExprFailure("expected a list")
    }
    return array.items
  }

  /// A number of anything, as sprig casts: what cannot be read is 0.
  private static func number(_ value: ExprValue) -> Int {
    switch value {
    case .int(let number): number
    case .byte(let number): Int(number)
    case .float(let number): GoNumber.truncated(number)
    case .bool(let flag): flag ? 1 : 0
    case .string(let text): ExprFunctions.integer(text) ?? 0
    default: 0
    }
  }

  private static func decimal(_ value: ExprValue) -> Double {
    switch value {
    case .string(let text): GoNumber.float(text.description) ?? 0
    case .bool(let flag): flag ? 1 : 0
    default: value.number ?? 0
    }
  }

  /// What `default` and its like count as nothing.
  private static func isEmpty(_ value: ExprValue) -> Bool {
    switch value.opened {
    case .null: true
    case .bool(let flag): !flag
    case .string(let text): text.isEmpty
    case .array(let array): array.items.isEmpty
    case .map(let map): map.values.isEmpty
    case let other: other.number == 0
    }
  }

  private static func changing(_ change: @escaping @Sendable (ByteString) -> ByteString) -> Call {
    { (arguments, _) throws(ExprFailure) in
      try ExprFunctions.count(arguments, 1...1)
      return .string(change(try text(arguments, 0)))
    }
  }

  private static func asking(
    _ ask: @escaping @Sendable (ByteString, ByteString) -> Bool
  ) -> Call {
    { (arguments, _) throws(ExprFailure) in
      try ExprFunctions.count(arguments, 2...2)
      return .bool(ask(try text(arguments, 0), try text(arguments, 1)))
    }
  }

  private static let texts: [ByteString: Call] = [
    "upper": changing { $0.uppercased }, "lower": changing { $0.lowercased },
    "trim": changing { $0.trimmed { $0.properties.isWhitespace } },
    "nospace": changing { text in
      ByteString(
        text.runes.filter { !$0.rune.scalar.properties.isWhitespace }
          .flatMap { text[$0.offset..<$0.offset + $0.rune.width].bytes }
      )
    },
    "contains": asking { $1.contains($0) }, "hasPrefix": asking { $1.hasPrefix($0) },
    "hasSuffix": asking { $1.hasSuffix($0) },
    "trimPrefix": { (arguments, _) throws(ExprFailure) in
      let (prefix, subject) = (try text(arguments, 0), try text(arguments, 1))
      return .string(
        subject.hasPrefix(prefix) ? subject[prefix.count..<subject.count] : subject
      )
    },
    "trimSuffix": { (arguments, _) throws(ExprFailure) in
      let (suffix, subject) = (try text(arguments, 0), try text(arguments, 1))
      return .string(
        subject.hasSuffix(suffix) ? subject[0..<subject.count - suffix.count] : subject
      )
    },
    "trimAll": { (arguments, _) throws(ExprFailure) in
      let cutset = Set(try text(arguments, 0).runes.map(\.rune.scalar))
      return .string(try text(arguments, 1).trimmed { cutset.contains($0) })
    },
    "replace": { (arguments, run) throws(ExprFailure) in
      let (old, new) = (try text(arguments, 0), try text(arguments, 1))
      let subject = try text(arguments, 2)
      try run.write(subject.count + (subject.count / max(1, old.count) + 1) * new.count)
      return .string(subject.replacing(old, new))
    },
    "splitList": { (arguments, _) throws(ExprFailure) in
      let parts = try text(arguments, 1).split(try text(arguments, 0), limit: -1)
      return .array(ExprArray(parts.map { .string($0) }, .string))
    },
    "join": { (arguments, run) throws(ExprFailure) in
      let glue = try text(arguments, 0)
      var out: [UInt8] = []
      for item in try list(arguments, 1) where !item.isNil {
        if !out.isEmpty { out += glue.bytes }
        ExprPrinter.append(item, &out)
        try run.write(out.count / 16)
      }
      return .string(ByteString(out))
    },
    "toString": { (arguments, _) throws(ExprFailure) in
      .string(ExprPrinter.text(try ExprFunctions.argument(arguments, 0)))
    },
    "toJson": { (arguments, _) throws(ExprFailure) in
      .string(ByteString(try GoJSON.encode(try ExprFunctions.argument(arguments, 0))))
    },
    "b64enc": changing { ByteString(Base64.encode($0.bytes)) },
    "b64dec": changing { ByteString(Base64.decode($0.bytes) ?? Array("illegal base64 data".utf8)) },
    "regexMatch": { (arguments, _) throws(ExprFailure) in
      let subject = try text(arguments, 1)
      let pattern = try text(arguments, 0)
      do throws(ExprFailure) { return .bool(try ExprPattern(pattern).matches(subject)) } catch {
        return .bool(false)
      }
    },
  ]

  private static func whole(_ fold: @escaping @Sendable (Int, Int) throws(ExprFailure) -> Int)
    -> Call
  {
    { (arguments, _) throws(ExprFailure) in
      var total = number(try ExprFunctions.argument(arguments, 0))
      for other in arguments.dropFirst() { total = try fold(total, number(other)) }
      return .int(total)
    }
  }

  private static func divisor(_ value: Int) throws(ExprFailure) -> Int {
    guard value != 0 else { throw ExprFailure("division by zero") }
    return value
  }

  private static let values: [ByteString: Call] = [
    "add": { (arguments, _) in .int(arguments.reduce(0) { $0 &+ number($1) }) },
    "mul": whole { (a, b) in a &* b }, "sub": whole { (a, b) in a &- b },
    "div": whole { (a, b) throws(ExprFailure) in b == -1 ? 0 &- a : a / (try divisor(b)) },
    "mod": whole { (a, b) throws(ExprFailure) in b == -1 ? 0 : a % (try divisor(b)) },
    "max": whole { (a, b) in max(a, b) }, "min": whole { (a, b) in min(a, b) },
    "int": { (arguments, _) throws(ExprFailure) in
      .int(number(try ExprFunctions.argument(arguments, 0)))
    },
    "int64": { (arguments, _) throws(ExprFailure) in
      .int(number(try ExprFunctions.argument(arguments, 0)))
    },
    "float64": { (arguments, _) throws(ExprFailure) in
      .float(decimal(try ExprFunctions.argument(arguments, 0)))
    },
    "default": { (arguments, _) throws(ExprFailure) in
      let fallback = try ExprFunctions.argument(arguments, 0)
      return arguments.count < 2 || isEmpty(arguments[1]) ? fallback : arguments[1]
    },
    "empty": { (arguments, _) throws(ExprFailure) in
      .bool(isEmpty(try ExprFunctions.argument(arguments, 0)))
    },
    "coalesce": { (arguments, _) in arguments.first { !isEmpty($0) } ?? .null },
    "ternary": { (arguments, _) throws(ExprFailure) in
      try ExprFunctions.count(arguments, 3...3)
      return try arguments[2].boolean() ? arguments[0] : arguments[1]
    },
    "list": { (arguments, _) in .array(ExprArray(arguments)) },
    "has": { (arguments, _) throws(ExprFailure) in
      let needle = try ExprFunctions.argument(arguments, 0)
      if try ExprFunctions.argument(arguments, 1).isNil { return .bool(false) }
      return .bool(
        try list(arguments, 1).contains { ExprComparison.strictlyEqual($0, needle) }
      )
    },
    "first": { (arguments, _) throws(ExprFailure) in try list(arguments, 0).first ?? .null },
    "last": { (arguments, _) throws(ExprFailure) in try list(arguments, 0).last ?? .null },
    "hasKey": { (arguments, _) throws(ExprFailure) in
      let map = try ExprFunctions.argument(arguments, 0)
      return .bool(try ExprComparison.contains(map, .string(try text(arguments, 1))))
    },
    "get": { (arguments, _) throws(ExprFailure) in
      let map = try ExprFunctions.argument(arguments, 0)
      let key = ExprValue.string(try text(arguments, 1))
      return try ExprComparison.contains(map, key)
        ? try ExprComparison.fetch(map, key) : .string("")
    },
  ]
}
