extension ExprFunctions {
  static let numbers: [ByteString: Call] = [
    "abs": single { (value, _) throws(ExprFailure) in
      switch value {
      case .int(let number): .int(number < 0 ? 0 &- number : number)
      case .byte: value
      case .float(let number): .float(number < 0 ? -number : number)
      default: throw ExprFailure("invalid argument for abs (\(value.typeName))")
      }
    },
    "ceil": rounding(.up),
    "floor": rounding(.down),
    "round": rounding(.toNearestOrAwayFromZero),
    "max": { (arguments, _) throws(ExprFailure) in
      try extreme(arguments, "max") { (a, b) throws(ExprFailure) in
        try ExprArithmetic.less(a, b)
      }
    },
    "min": { (arguments, _) throws(ExprFailure) in
      try extreme(arguments, "min") { (a, b) throws(ExprFailure) in
        try ExprArithmetic.more(a, b)
      }
    },
    "mean": { (arguments, _) throws(ExprFailure) in
      let all = try flat(arguments, "mean")
      return .float(all.isEmpty ? 0 : all.reduce(0, +) / Double(all.count))
    },
    "median": { (arguments, _) throws(ExprFailure) in
      let all = try flat(arguments, "median").sorted()
      guard !all.isEmpty else { return .float(0) }
      let middle = all.count / 2
      return .float(all.count % 2 == 1 ? all[middle] : (all[middle - 1] + all[middle]) / 2)
    },
    "bitand": bits { (a, b) in a & b },
    "bitor": bits { (a, b) in a | b },
    "bitxor": bits { (a, b) in a ^ b },
    "bitnand": bits { (a, b) in a & ~b },
    "bitshl": shift { (a, b) in a << b },
    "bitshr": shift { (a, b) in a >> b },
    "bitushr": shift { (a, b) in Int(bitPattern: UInt(bitPattern: a) >> UInt(b)) },
    "bitnot": { (arguments, _) throws(ExprFailure) in
      try count(arguments, 1...1)
      return .int(~(try whole(arguments[0])))
    },
  ]

  private static func rounding(_ rule: FloatingPointRoundingRule) -> Call {
    single { (value, _) throws(ExprFailure) in
      guard let number = value.number else {
        throw ExprFailure("cannot round \(value.typeName)")
      }
      return .float(number.rounded(rule))
    }
  }

  private static func whole(_ value: ExprValue) throws(ExprFailure) -> Int {
    guard let number = ExprArithmetic.integer(value) else {
      throw ExprFailure("expected an int, found \(value.typeName)")
    }
    return number
  }

  private static func bits(_ operation: @escaping @Sendable (Int, Int) -> Int) -> Call {
    { (arguments, _) throws(ExprFailure) in
      try count(arguments, 2...2)
      return .int(operation(try whole(arguments[0]), try whole(arguments[1])))
    }
  }

  private static func shift(_ operation: @escaping @Sendable (Int, Int) -> Int) -> Call {
    { (arguments, _) throws(ExprFailure) in
      try count(arguments, 2...2)
      let (value, distance) = (try whole(arguments[0]), try whole(arguments[1]))
      guard distance >= 0 else { throw ExprFailure("negative shift count \(distance)") }
      return .int(operation(value, distance))
    }
  }

  /// The largest or smallest of numbers and lists of them; a lone other value is itself.
  private static func extreme(
    _ arguments: [ExprValue],
    _ name: String,
    _ isBetter: (ExprValue, ExprValue) throws(ExprFailure) -> Bool
  ) throws(ExprFailure) -> ExprValue {
    var best: ExprValue?
    for argument in arguments {
      let candidate: ExprValue?
      switch argument.opened {
      case .array(let array):
        candidate = try extreme(in: array, name, isBetter)
      case let value where value.number != nil: candidate = value
      case let value:
        if arguments.count == 1 { return value }
        throw ExprFailure("invalid argument for \(name) (\(value.typeName))")
      }
      guard let candidate else { continue }
      if let current = best {
        if try isBetter(current, candidate) { best = candidate }
      } else {
        best = candidate
      }
    }
    return best ?? .null
  }

  private static func extreme(
    in array: ExprArray,
    _ name: String,
    _ isBetter: (ExprValue, ExprValue) throws(ExprFailure) -> Bool
  ) throws(ExprFailure) -> ExprValue? {
    var best: ExprValue?
    for item in array.items {
      let candidate: ExprValue?
      switch item.opened {
      case .array(let inner): candidate = try extreme(in: inner, name, isBetter)
      case let value where value.number != nil: candidate = value
      case let value: throw ExprFailure("invalid argument for \(name) (\(value.typeName))")
      }
      guard let candidate else { continue }
      if let current = best {
        if try isBetter(current, candidate) { best = candidate }
      } else {
        best = candidate
      }
    }
    return best
  }

  private static func flat(
    _ values: [ExprValue],
    _ name: String
  ) throws(ExprFailure) -> [Double] {
    var all: [Double] = []
    for value in values {
      if let number = value.number {
        all.append(number)
      } else if case .array(let array) = value.opened {
        all += try flat(array.items, name)
      } else {
        throw ExprFailure("invalid argument for \(name) (\(value.typeName))")
      }
    }
    return all
  }
}
