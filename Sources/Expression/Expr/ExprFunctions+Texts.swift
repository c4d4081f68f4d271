extension ExprFunctions {
  private static func text(
    _ arguments: [ExprValue],
    _ place: Int
  ) throws(ExprFailure) -> ByteString {
    try argument(arguments, place).text()
  }

  private static func made(
    _ text: ByteString,
    _ run: inout ExprRun
  ) throws(ExprFailure) -> ExprValue {
    try run.write(text.count)
    return .string(text)
  }

  static let texts: [ByteString: Call] = [
    "upper": single { (value, run) throws(ExprFailure) in
      try made(try value.text().uppercased, &run)
    },
    "lower": single { (value, run) throws(ExprFailure) in
      try made(try value.text().lowercased, &run)
    },
    "trim": { (arguments, _) throws(ExprFailure) in
      try count(arguments, 1...2)
      let subject = try text(arguments, 0)
      guard arguments.count == 2 else {
        return .string(subject.trimmed { $0.properties.isWhitespace })
      }
      let cutset = Set(try text(arguments, 1).runes.map(\.rune.scalar))
      return .string(subject.trimmed { cutset.contains($0) })
    },
    "trimPrefix": { (arguments, _) throws(ExprFailure) in
      let subject = try text(arguments, 0)
      let prefix = arguments.count == 2 ? try text(arguments, 1) : " "
      return .string(
        subject.hasPrefix(prefix) ? subject[prefix.count..<subject.count] : subject
      )
    },
    "trimSuffix": { (arguments, _) throws(ExprFailure) in
      let subject = try text(arguments, 0)
      let suffix = arguments.count == 2 ? try text(arguments, 1) : " "
      return .string(
        subject.hasSuffix(suffix) ? subject[0..<subject.count - suffix.count] : subject
      )
    },
    "split": { (arguments, run) throws(ExprFailure) in
      try split(arguments, keeping: false, &run)
    },
    "splitAfter": { (arguments, run) throws(ExprFailure) in
      try split(arguments, keeping: true, &run)
    },
    "replace": { (arguments, run) throws(ExprFailure) in
      try count(arguments, 3...4)
      let subject = try text(arguments, 0)
      let (old, new) = (try text(arguments, 1), try text(arguments, 2))
      let limit = arguments.count == 4 ? try arguments[3].integer() : -1
      // Checked before: the result may be as long as both multiplied.
      let places = old.isEmpty ? subject.count + 1 : subject.count / old.count
      let uses = limit < 0 ? places : min(limit, places)
      try run.write(subject.count + uses * new.count)
      return .string(subject.replacing(old, new, limit: limit))
    },
    "repeat": { (arguments, run) throws(ExprFailure) in
      let subject = try text(arguments, 0)
      let times = try argument(arguments, 1).integer()
      guard times >= 0 else { throw ExprFailure("cannot repeat \(times) times") }
      guard times <= ExprLimits.elements else { throw ExprFailure("memory budget exceeded") }
      try run.grow(subject.count * times)
      return .string(ByteString(Array(repeatElement(subject.bytes, count: times).joined())))
    },
    "join": { (arguments, run) throws(ExprFailure) in
      let glue = arguments.count == 2 ? try text(arguments, 1) : ""
      let list = try argument(arguments, 0).opened
      guard case .array(let array) = list, array.element == .any || array.element == .string
      else { throw ExprFailure("invalid argument for join (\(list.typeName))") }
      var out: [UInt8] = []
      for (place, item) in array.items.enumerated() {
        if place > 0 { out += glue.bytes }
        out += try item.text().bytes
        guard out.count <= ExprLimits.textBytes else { throw ExprFailure("memory budget exceeded") }
      }
      return try made(ByteString(out), &run)
    },
    "indexOf": { (arguments, _) throws(ExprFailure) in
      .int(try text(arguments, 0).index(of: try text(arguments, 1)) ?? -1)
    },
    "lastIndexOf": { (arguments, _) throws(ExprFailure) in
      .int(try text(arguments, 0).lastIndex(of: try text(arguments, 1)) ?? -1)
    },
    "hasPrefix": { (arguments, _) throws(ExprFailure) in
      .bool(try text(arguments, 0).hasPrefix(try text(arguments, 1)))
    },
    "hasSuffix": { (arguments, _) throws(ExprFailure) in
      .bool(try text(arguments, 0).hasSuffix(try text(arguments, 1)))
    },
  ]

  private static func split(
    _ arguments: [ExprValue],
    keeping: Bool,
    _ run: inout ExprRun
  ) throws(ExprFailure) -> ExprValue {
    try count(arguments, 2...3)
    let subject = try text(arguments, 0)
    let separator = try text(arguments, 1)
    let limit = arguments.count == 3 ? try arguments[2].integer() : -1
    try run.write(subject.count * 8)
    let parts = subject.split(separator, limit: limit, keeping: keeping)
    return .array(ExprArray(parts.map { .string($0) }, .string, isNil: limit == 0))
  }
}
