extension Sprig {
  private typealias Make = TemplateFunctions

  /// Whole numbers.
  static let numbers: [TemplateFunction] = [
    Make.make("atoi", .string) { arguments, _ in
      .int(Int(arguments[0].text.description) ?? 0)
    },
    Make.make("int", .any) { arguments, _ in .int(GoCast.integer(arguments[0])) },
    Make.make("int64", .any) { arguments, _ in .int64(GoCast.integer(arguments[0])) },
    Make.make("float64", .any) { arguments, _ in .float(GoCast.float(arguments[0])) },
    Make.make("toDecimal", .any) { (arguments, account) throws(TemplateFailure) in
      .int64(Int(try GoCast.text(arguments[0], account).description, radix: 8) ?? 0)
    },
    Make.make("add1", .any) { arguments, _ in .int64(GoCast.integer(arguments[0]) &+ 1) },
    Make.make("add", rest: .any) { arguments, _ in
      .int64(arguments.reduce(0) { $0 &+ GoCast.integer($1) })
    },
    Make.make("sub", .any, .any) { arguments, _ in
      .int64(GoCast.integer(arguments[0]) &- GoCast.integer(arguments[1]))
    },
    Make.make("mul", .any, rest: .any) { arguments, _ in
      .int64(arguments.reduce(1) { $0 &* GoCast.integer($1) })
    },
    Make.make("div", .any, .any) { (arguments, _) throws(TemplateFailure) in
      let divisor = GoCast.integer(arguments[1])
      guard divisor != 0 else { throw TemplateFailure("integer divide by zero") }
      return .int64(GoCast.integer(arguments[0]).dividedReportingOverflow(by: divisor).partialValue)
    },
    Make.make("mod", .any, .any) { (arguments, _) throws(TemplateFailure) in
      let divisor = GoCast.integer(arguments[1])
      guard divisor != 0 else { throw TemplateFailure("integer divide by zero") }
      let rest = GoCast.integer(arguments[0]).remainderReportingOverflow(dividingBy: divisor)
      return .int64(rest.overflow ? 0 : rest.partialValue)
    },
    largest("max"), largest("biggest"),
    Make.make("min", .any, rest: .any) { arguments, _ in
      .int64(arguments.map(GoCast.integer).min() ?? 0)
    },
    Make.make("seq", rest: .int) { (arguments, account) throws(TemplateFailure) in
      try sequence(arguments.map(\.number), &account)
    },
    Make.make("randInt", .int, .int) { (arguments, account) throws(TemplateFailure) in
      let (low, high) = (arguments[0].number, arguments[1].number)
      guard high &- low > 0, high > low else { throw TemplateFailure("invalid argument to Intn") }
      return .int(low + Int(account.world.random() % UInt64(high - low)))
    },
  ]

  private static func largest(_ name: String) -> TemplateFunction {
    Make.make(name, .any, rest: .any) { arguments, _ in
      .int64(arguments.map(GoCast.integer).max() ?? 0)
    }
  }

  /// Numbers with a space between them; the end belongs to them.
  private static func sequence(
    _ bounds: [Int],
    _ account: inout TemplateAccount
  ) throws(TemplateFailure) -> GoValue {
    let start: Int
    let end: Int
    let step: Int
    switch bounds.count {
    case 1: (start, end, step) = (1, bounds[0], bounds[0] < 1 ? -1 : 1)
    case 2: (start, end, step) = (bounds[0], bounds[1], bounds[1] < bounds[0] ? -1 : 1)
    case 3:
      (start, step, end) = (bounds[0], bounds[1], bounds[2])
      if end < start, step > 0 { return .string("") }
    default: return .string("")
    }
    let stop = end &+ (end < start ? -1 : 1)
    let list = try integers(start, stop, step, &account)
    var printer = GoPrinter(limit: account.room)
    try printer.value(list)
    return .string(ByteString(printer.out.dropFirst().dropLast()))
  }

  /// Numbers with fractions.
  static let decimals: [TemplateFunction] = [
    Make.make("add1f", .any) { arguments, _ in
      .float(decimal([.float(GoCast.float(arguments[0])), .int(1)]) { $0 + $1 })
    },
    Make.make("addf", rest: .any) { arguments, _ in
      .float(decimal([.float(0)] + arguments) { $0 + $1 })
    },
    Make.make("subf", .any, rest: .any) { arguments, _ in
      .float(decimal(arguments) { $0 - $1 })
    },
    Make.make("mulf", .any, rest: .any) { (arguments, account) throws(TemplateFailure) in
      // The digits add up, so that the work grows with the square of their number.
      try account.work(arguments.count * arguments.count)
      return .float(decimal(arguments) { $0 * $1 })
    },
    Make.make("divf", .any, rest: .any) { (arguments, account) throws(TemplateFailure) in
      try account.work(arguments.count * arguments.count)
      guard arguments.dropFirst().allSatisfy({ GoCast.float($0) != 0 }) else {
        throw TemplateFailure("decimal division by 0")
      }
      return .float(decimal(arguments) { $0 / $1 })
    },
    Make.make("maxf", .any, rest: .any) { arguments, _ in
      .float(arguments.map(GoCast.float).reduce(-.infinity) { $0.isNaN ? $0 : max($0, $1) })
    },
    Make.make("minf", .any, rest: .any) { arguments, _ in
      .float(arguments.map(GoCast.float).reduce(.infinity) { $0.isNaN ? $0 : min($0, $1) })
    },
    Make.make("floor", .any) { arguments, _ in
      .float(GoCast.float(arguments[0]).rounded(.down))
    },
    Make.make("ceil", .any) { arguments, _ in .float(GoCast.float(arguments[0]).rounded(.up)) },
    Make.make("round", .any, .int, rest: .float) { arguments, _ in
      var edge = 0.5
      if arguments.count > 2, case .float(let value) = arguments[2] { edge = value }
      let scale = raise(10, Double(arguments[1].number))
      let digits = scale * GoCast.float(arguments[0])
      let fraction = digits - digits.rounded(.towardZero)
      return .float(digits.rounded(fraction >= edge ? .up : .down) / scale)
    },
  ]

  private static func decimal(
    _ values: [GoValue],
    _ combine: (GoDecimal, GoDecimal) -> GoDecimal
  ) -> Double {
    let numbers = values.map { GoDecimal(GoCast.float($0)) }
    guard let first = numbers.first else { return 0 }
    return numbers.dropFirst().reduce(first, combine).double
  }
}
