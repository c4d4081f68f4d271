import JSON

/// The built-in functions without a predicate (spec section 1.8).
enum ExprFunctions {
  typealias Call = @Sendable ([ExprValue], inout ExprRun) throws(ExprFailure) -> ExprValue

  static let all: [ByteString: Call] = [
    conversions, texts, numbers, lists, maps, times,
  ].reduce(into: [:]) { all, some in all.merge(some) { $1 } }

  static func argument(
    _ arguments: [ExprValue],
    _ place: Int
  ) throws(ExprFailure) -> ExprValue {
    guard arguments.indices.contains(place) else {
      throw ExprFailure("too few arguments: expected at least \(place + 1)")
    }
    return arguments[place]
  }

  static func count(
    _ arguments: [ExprValue],
    _ range: ClosedRange<Int>
  ) throws(ExprFailure) {
    guard range.contains(arguments.count) else {
      throw ExprFailure("invalid number of arguments: found \(arguments.count)")
    }
  }

  /// Functions of one argument. As in the original the last argument counts, and others are
  /// evaluated for nothing.
  static func single(
    _ call: @escaping @Sendable (ExprValue, inout ExprRun) throws(ExprFailure) -> ExprValue
  ) -> Call {
    { (arguments, run) throws(ExprFailure) in
      guard let last = arguments.last else { throw ExprFailure("expected an argument") }
      return try call(last, &run)
    }
  }

  private static let conversions: [ByteString: Call] = [
    "type": single { (value, _) in .string(ExprPrinter.type(value)) },
    "string": single { (value, run) throws(ExprFailure) in
      let text = ByteString(ExprPrinter.text(value))
      try run.write(text.count)
      return .string(text)
    },
    "int": single { (value, _) throws(ExprFailure) in
      switch value {
      case .string(let text):
        guard let number = integer(text) else {
          throw ExprFailure("invalid operation: int(\(text))")
        }
        return .int(number)
      case .duration(let value), .month(let value), .weekday(let value): return .int(value)
      default: return .int(try value.integer())
      }
    },
    "float": single { (value, _) throws(ExprFailure) in
      if case .string(let text) = value {
        guard let number = GoNumber.float(text.description) else {
          throw ExprFailure("invalid operation: float(\(text))")
        }
        return .float(number)
      }
      guard let number = value.number else {
        throw ExprFailure("invalid operation: float(\(value.typeName))")
      }
      return .float(number)
    },
    "toJSON": { (arguments, run) throws(ExprFailure) in
      let text = try GoJSON.encode(try argument(arguments, 0), indent: 2)
      try run.write(text.count)
      return .string(ByteString(text))
    },
    "fromJSON": { (arguments, _) throws(ExprFailure) in
      try GoJSON.decode(try argument(arguments, 0).text())
    },
    "toBase64": { (arguments, run) throws(ExprFailure) in
      let text = try argument(arguments, 0).text()
      try run.write(text.count * 4 / 3 + 4)
      return .string(ByteString(Base64.encode(text.bytes)))
    },
    "fromBase64": { (arguments, run) throws(ExprFailure) in
      let text = try argument(arguments, 0).text()
      guard let bytes = Base64.decode(text.bytes) else { throw ExprFailure("illegal base64") }
      try run.write(bytes.count)
      return .string(ByteString(bytes))
    },
  ]

  /// `strconv.Atoi`.
  static func integer(_ text: ByteString) -> Int? {
    let digits = text.bytes.drop { $0 == 0x2b || $0 == 0x2d }
    guard !digits.isEmpty, text.count - digits.count <= 1,
      digits.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Int(text.description)
  }
}
