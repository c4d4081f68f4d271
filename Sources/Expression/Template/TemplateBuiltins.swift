/// The functions of text/template itself.
enum TemplateBuiltins {
  typealias Make = TemplateFunctions

  static let functions: [TemplateFunction] = [
    // The run decides these two, as it leaves out arguments.
    Make.make("and", .any, rest: .any) { arguments, _ in arguments.last ?? .null },
    Make.make("or", .any, rest: .any) { arguments, _ in arguments.last ?? .null },
    Make.make("not", .any) { arguments, _ in .bool(!arguments[0].isTrue) },
    Make.make("call", .any, rest: .any) { (arguments, _) throws(TemplateFailure) in
      let isNil = arguments[0].isNil
      throw TemplateFailure(isNil ? "call of nil" : "non-function of type \(arguments[0].typeName)")
    },
    Make.make("len", .any) { (arguments, _) throws(TemplateFailure) in
      try length(arguments[0])
    },
    Make.make("index", .any, rest: .any) { (arguments, _) throws(TemplateFailure) in
      try index(arguments[0], arguments.dropFirst())
    },
    Make.make("print", rest: .any) { (arguments, account) throws(TemplateFailure) in
      var printer = GoPrinter(limit: account.room)
      try printer.print(arguments)
      return .string(ByteString(printer.out))
    },
    Make.make("println", rest: .any) { (arguments, account) throws(TemplateFailure) in
      var printer = GoPrinter(limit: account.room)
      try printer.printLine(arguments)
      return .string(ByteString(printer.out))
    },
    Make.make("printf", .string, rest: .any) { (arguments, account) throws(TemplateFailure) in
      let values = Array(arguments.dropFirst())
      let text = try GoFormat.text(arguments[0].text, values, limit: account.room)
      return .string(ByteString(text))
    },
    Make.make("html", rest: .any) { (arguments, account) throws(TemplateFailure) in
      .string(ByteString(GoEscapes.html(try joined(arguments, account.room))))
    },
    Make.make("js", rest: .any) { (arguments, account) throws(TemplateFailure) in
      .string(ByteString(GoEscapes.javaScript(try joined(arguments, account.room))))
    },
    Make.make("urlquery", rest: .any) { (arguments, account) throws(TemplateFailure) in
      .string(ByteString(GoEscapes.query(try joined(arguments, account.room))))
    },
    Make.make("eq", .any, rest: .any) { (arguments, _) throws(TemplateFailure) in
      guard arguments.count > 1 else { throw TemplateFailure("missing argument for comparison") }
      for other in arguments.dropFirst() where try TemplateComparison.isEqual(arguments[0], other) {
        return .bool(true)
      }
      return .bool(false)
    },
    Make.make("ne", .any, .any) { (arguments, _) throws(TemplateFailure) in
      .bool(!(try TemplateComparison.isEqual(arguments[0], arguments[1])))
    },
    Make.make("lt", .any, .any) { (arguments, _) throws(TemplateFailure) in
      .bool(try TemplateComparison.isLess(arguments[0], arguments[1]))
    },
    Make.make("le", .any, .any) { (arguments, _) throws(TemplateFailure) in
      .bool(try TemplateComparison.isLessOrEqual(arguments[0], arguments[1]))
    },
    Make.make("gt", .any, .any) { (arguments, _) throws(TemplateFailure) in
      .bool(!(try TemplateComparison.isLessOrEqual(arguments[0], arguments[1])))
    },
    Make.make("ge", .any, .any) { (arguments, _) throws(TemplateFailure) in
      .bool(!(try TemplateComparison.isLess(arguments[0], arguments[1])))
    },
  ]

  /// The operands as one text; nil says that there is no value.
  private static func joined(
    _ arguments: [GoValue],
    _ room: Int
  ) throws(TemplateFailure) -> ByteString {
    if arguments.count == 1, case .string(let text) = arguments[0] { return text }
    var printer = GoPrinter(limit: room)
    try printer.print(arguments.map { $0.isNil ? .string("<no value>") : $0 })
    return ByteString(printer.out)
  }

  private static func length(_ value: GoValue) throws(TemplateFailure) -> GoValue {
    switch value {
    case .string(let text): return .int(text.count)
    case .list(let list): return .int(list.items.count)
    case .map(let map): return .int(map.count)
    case .absent, .null: throw TemplateFailure("len of nil pointer")
    default: throw TemplateFailure("len of type \(value.typeName)")
    }
  }

  private static func index(
    _ value: GoValue,
    _ keys: ArraySlice<GoValue>
  ) throws(TemplateFailure) -> GoValue {
    guard !value.isNil else { throw TemplateFailure("index of untyped nil") }
    var value = value
    for key in keys {
      switch value {
      case .string(let text):
        let place = try place(key, text.count)
        value = .byte(text.bytes[text.bytes.startIndex + place])
      case .list(let list): value = list.items[try place(key, list.items.count)]
      case .map(let map):
        guard case .string(let name) = key else {
          throw TemplateFailure("value has type \(key.typeName); should be string")
        }
        value = map[name] ?? (map.holdsStrings ? .string("") : .null)
      case .absent, .null: throw TemplateFailure("index of nil pointer")
      default: throw TemplateFailure("can't index item of type \(value.typeName)")
      }
    }
    return value
  }

  private static func place(_ key: GoValue, _ count: Int) throws(TemplateFailure) -> Int {
    let place: Int
    switch key {
    case .int(let value), .int64(let value), .duration(let value), .month(let value),
      .weekday(let value):
      place = value
    case .byte(let value): place = Int(value)
    case .uint64(let value): place = Int(exactly: value) ?? -1
    case .absent, .null: throw TemplateFailure("cannot index slice/array with nil")
    default: throw TemplateFailure("cannot index slice/array with type \(key.typeName)")
    }
    guard (0..<count).contains(place) else {
      throw TemplateFailure("index out of range: \(place)")
    }
    return place
  }
}

/// `eq`, `lt` and the others.
enum TemplateComparison {
  private enum Basic: Equatable { case bool, int, uint, float, complex, string }

  private static func basic(_ value: GoValue) -> Basic? {
    switch value {
    case .bool: .bool
    case .int, .int64, .duration, .month, .weekday: .int
    case .byte, .uint64: .uint
    case .float: .float
    case .complex: .complex
    case .string: .string
    default: nil
    }
  }

  private static func integer(_ value: GoValue) -> Int {
    switch value {
    case .int(let value), .int64(let value), .duration(let value), .month(let value),
      .weekday(let value):
      value
    default: 0
    }
  }

  private static func unsigned(_ value: GoValue) -> UInt64 {
    switch value {
    case .byte(let value): UInt64(value)
    case .uint64(let value): value
    default: 0
    }
  }

  private static func incompatible(_ a: GoValue, _ b: GoValue) -> TemplateFailure {
    TemplateFailure("incompatible types for comparison: \(a.typeName) and \(b.typeName)")
  }

  static func isEqual(_ a: GoValue, _ b: GoValue) throws(TemplateFailure) -> Bool {
    switch (basic(a), basic(b)) {
    case (.int, .uint): return integer(a) >= 0 && UInt64(integer(a)) == unsigned(b)
    case (.uint, .int): return integer(b) >= 0 && UInt64(integer(b)) == unsigned(a)
    case (let first, let second) where first != second:
      // With nil on one side they are just not equal.
      if a.isNil || b.isNil { return false }
      throw incompatible(a, b)
    default: break
    }
    switch (a, b) {
    case (.bool(let a), .bool(let b)): return a == b
    case (.float(let a), .float(let b)): return a == b
    case (.complex(let a, let b), .complex(let c, let d)): return a == c && b == d
    case (.string(let a), .string(let b)): return a == b
    case (.byte, _), (.uint64, _): return unsigned(a) == unsigned(b)
    case (.time(let a), .time(let b)): return GoTime.isSame(a, b) && a.zoneName == b.zoneName
    case (.absent, _), (.null, _): return isNil(b)
    case (_, .absent), (_, .null): return isNil(a)
    case (.list, _), (.map, _), (.zone, _), (.version, _), (.time, _):
      if a.kindName == b.kindName, isNil(a) || isNil(b) { return isNil(a) == isNil(b) }
      throw TemplateFailure("non-comparable type: \(a.typeName)")
    default: return integer(a) == integer(b)
    }
  }

  /// Nil, or a list or map that was never made.
  private static func isNil(_ value: GoValue) -> Bool {
    switch value {
    case .absent, .null: true
    case .list(let list): list.isNil
    case .map(let map): map.isNil
    default: false
    }
  }

  static func isLess(_ a: GoValue, _ b: GoValue) throws(TemplateFailure) -> Bool {
    guard let first = basic(a), let second = basic(b) else {
      throw TemplateFailure("invalid type for comparison")
    }
    switch (first, second) {
    case (.int, .uint): return integer(a) < 0 || UInt64(integer(a)) < unsigned(b)
    case (.uint, .int): return integer(b) >= 0 && unsigned(a) < UInt64(integer(b))
    case _ where first != second: throw incompatible(a, b)
    default: break
    }
    switch (a, b) {
    case (.float(let a), .float(let b)): return a < b
    case (.string(let a), .string(let b)): return a < b
    case (.bool, _), (.complex, _): throw TemplateFailure("invalid type for comparison")
    case (.byte, _), (.uint64, _): return unsigned(a) < unsigned(b)
    default: return integer(a) < integer(b)
    }
  }

  static func isLessOrEqual(_ a: GoValue, _ b: GoValue) throws(TemplateFailure) -> Bool {
    if try isLess(a, b) { return true }
    return try isEqual(a, b)
  }
}
