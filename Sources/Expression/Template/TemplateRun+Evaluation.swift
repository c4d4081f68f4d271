extension TemplateRun {
  /// The value of the last command; nil becomes no value.
  mutating func evaluate(
    _ pipeline: TemplatePipeline,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    var value: GoValue?
    for command in pipeline.commands {
      try step(command.offset)
      let found = try evaluate(command, dot, final: value)
      value = found.isNil ? .absent : found
    }
    let result = value ?? .absent
    for name in pipeline.variables {
      if pipeline.isAssignment {
        // `range` assigns each element instead.
        try assign(name, result, pipeline.offset)
      } else {
        declare(name, result)
      }
    }
    return result
  }

  private func fail(_ message: String, _ offset: Int) -> TemplateFault {
    TemplateFault(failure: TemplateFailure(message), offset: offset)
  }

  /// - Parameter final: the value of the command before, which is the last argument.
  private mutating func evaluate(
    _ command: TemplateCommand,
    _ dot: GoValue,
    final: GoValue?
  ) throws(TemplateFault) -> GoValue {
    let first = command.operands[0]
    let arguments = command.operands.dropFirst()
    switch first.kind {
    case .field(let names):
      return try members(dot, names, arguments, final, first.offset, dot)
    case .chain(let base, let names):
      let receiver = try chainBase(base, dot)
      return try members(receiver, names, arguments, final, first.offset, dot)
    case .variable(let name, let names):
      let value = try variable(name, first.offset)
      guard names.isEmpty else {
        return try members(value, names, arguments, final, first.offset, dot)
      }
      try refuse(arguments, final, first.offset)
      return value
    case .function(let function):
      return try call(function, arguments, final, first.offset, dot)
    default: try refuse(arguments, final, first.offset)
    }
    switch first.kind {
    case .pipeline(let pipeline): return try parenthesized(pipeline, dot, first.offset)
    case .bool(let value): return .bool(value)
    case .dot: return dot
    case .number(let number): return try ideal(number, first.offset)
    case .string(let text): return .string(text)
    default: throw fail("nil is not a command", first.offset)
    }
  }

  private func refuse(
    _ arguments: ArraySlice<TemplateOperand>,
    _ final: GoValue?,
    _ offset: Int
  ) throws(TemplateFault) {
    guard arguments.isEmpty, final == nil else {
      throw fail("can't give argument to non-function", offset)
    }
  }

  private func ideal(_ number: TemplateNumber, _ offset: Int) throws(TemplateFault) -> GoValue {
    guard let value = number.ideal else { throw fail("\(number.text) overflows int", offset) }
    return value
  }

  private mutating func parenthesized(
    _ pipeline: TemplatePipeline,
    _ dot: GoValue,
    _ offset: Int
  ) throws(TemplateFault) -> GoValue {
    try enter(offset)
    let value = try evaluate(pipeline, dot)
    leave()
    return value
  }

  private mutating func chainBase(
    _ base: TemplateOperand,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    switch base.kind {
    case .pipeline(let pipeline): return try parenthesized(pipeline, dot, base.offset)
    case .function(let function): return try call(function, [], nil, base.offset, dot)
    case .null: throw fail("indirection through explicit nil", base.offset)
    default: return try argument(base, nil, dot)
    }
  }

  /// Members one after another; the last, if it is a method, gets the arguments.
  private mutating func members(
    _ receiver: GoValue,
    _ names: [ByteString],
    _ arguments: ArraySlice<TemplateOperand>,
    _ final: GoValue?,
    _ offset: Int,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    var receiver = receiver
    for (place, name) in names.enumerated() {
      let isLast = place == names.count - 1
      receiver = try member(
        receiver,
        name,
        isLast ? arguments : [],
        isLast ? final : nil,
        offset,
        dot
      )
    }
    return receiver
  }

  private mutating func member(
    _ receiver: GoValue,
    _ name: ByteString,
    _ arguments: ArraySlice<TemplateOperand>,
    _ final: GoValue?,
    _ offset: Int,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    switch receiver {
    case .absent: return .absent
    case .null: throw fail("nil pointer evaluating interface {}.\(name)", offset)
    case .map(let map):
      guard arguments.isEmpty, final == nil else {
        throw fail("\(name) is not a method but has arguments", offset)
      }
      guard let value = map[name] else { return .absent }
      if case .map = value { try count(value, offset) }
      return value
    default: break
    }
    guard let method = GoMethods.method(receiver, name.description) else {
      throw fail("can't evaluate field \(name) in type interface {}", offset)
    }
    return try call(method, arguments, final, offset, dot)
  }

  private mutating func call(
    _ function: TemplateFunction,
    _ arguments: ArraySlice<TemplateOperand>,
    _ final: GoValue?,
    _ offset: Int,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    let count = arguments.count + (final == nil ? 0 : 1)
    guard function.takes(count) else {
      throw fail(
        "wrong number of args for \(function.name): want \(function.countText) got \(count)",
        offset
      )
    }
    if function.name == "and" || function.name == "or" {
      return try decide(function.name == "or", arguments, final, dot)
    }
    var values: [GoValue] = []
    values.reserveCapacity(count)
    for (place, operand) in arguments.enumerated() {
      values.append(try argument(operand, function.parameter(place), dot))
    }
    if let final {
      let parameter = function.parameter(values.count)
      values.append(
        try located(offset) { () throws(TemplateFailure) in try parameter.checked(final) }
      )
    }
    do throws(TemplateFailure) {
      try account.read(values)
      let result = try function.body(values, &account)
      try account.count(result)
      return result
    } catch {
      let message =
        error.isLimit ? error.message : "error calling \(function.name): \(error.message)"
      let failure = TemplateFailure(message, isLimit: error.isLimit)
      throw TemplateFault(failure: failure, offset: offset)
    }
  }

  /// `and` and `or`: the first argument that decides; those behind it are not looked at.
  private mutating func decide(
    _ wanted: Bool,
    _ arguments: ArraySlice<TemplateOperand>,
    _ final: GoValue?,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    var value = GoValue.null
    for operand in arguments {
      value = try argument(operand, .any, dot)
      if value.isTrue == wanted { return value }
    }
    return final ?? value
  }

  /// - Parameter parameter: nil takes anything as it is.
  private mutating func argument(
    _ operand: TemplateOperand,
    _ parameter: TemplateFunction.Parameter?,
    _ dot: GoValue
  ) throws(TemplateFault) -> GoValue {
    let value: GoValue
    switch operand.kind {
    case .dot: value = dot
    case .field(let names): value = try members(dot, names, [], nil, operand.offset, dot)
    case .variable(let name, let names):
      let base = try variable(name, operand.offset)
      value = try members(base, names, [], nil, operand.offset, dot)
    case .pipeline(let pipeline): value = try parenthesized(pipeline, dot, operand.offset)
    case .function(let function): value = try call(function, [], nil, operand.offset, dot)
    case .chain(let base, let names):
      let receiver = try chainBase(base, dot)
      value = try members(receiver, names, [], nil, operand.offset, dot)
    default: return try literal(operand, parameter ?? .any)
    }
    guard let parameter else { return value }
    return try located(operand.offset) { () throws(TemplateFailure) in
      try parameter.checked(value)
    }
  }

  /// A literal takes the type of the parameter where it can.
  private func literal(
    _ operand: TemplateOperand,
    _ parameter: TemplateFunction.Parameter
  ) throws(TemplateFault) -> GoValue {
    switch (operand.kind, parameter) {
    case (.null, .any): return .null
    case (.null, .dict): return .map(GoMap([:], isNil: true))
    case (.null, _): throw fail("cannot assign nil to \(parameter.rawValue)", operand.offset)
    case (.bool(let value), .any), (.bool(let value), .bool): return .bool(value)
    case (.string(let text), .any), (.string(let text), .string): return .string(text)
    case (.number(let number), .any): return try ideal(number, operand.offset)
    case (.number(let number), .int):
      if let value = number.int { return .int(value) }
    case (.number(let number), .float):
      if let value = number.float { return .float(value) }
    default: break
    }
    let wanted = parameter == .int ? "integer" : parameter == .float ? "float" : parameter.rawValue
    throw fail("expected \(wanted)", operand.offset)
  }
}
