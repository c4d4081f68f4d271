/// Functions of sprig as values of an event source's filter. The process environment holds
/// secrets, so `env` and `expandenv` are not among them, here as in Argo Events.
enum SprigForExpr {
  static let all = ExprMap(
    Sprig.names.subtracting(["env", "expandenv"]).map { name in
      (.string(ByteString(name)), .function(ExprFunction(call(name))))
    }
  )

  private static func call(_ name: String) -> ExprFunction.Call {
    { (arguments, run) throws(ExprFailure) in
      var account = TemplateAccount(limits: TemplateLimits(), world: run.world)
      // Maps may be tied into circles, which are let go of at the end.
      defer { account.close() }
      var given: [GoValue] = []
      for argument in arguments { given.append(try value(argument)) }
      let result: GoValue
      do throws(TemplateFailure) { result = try Sprig.call(name, given, &account) } catch {
        throw ExprFailure("sprig.\(name): \(error.message)")
      }
      return try self.result(result, depth: 0, &run)
    }
  }

  private static func value(_ value: ExprValue) throws(ExprFailure) -> GoValue {
    switch value {
    case .null: return .null
    case .bool(let flag): return .bool(flag)
    case .int(let number): return .int(number)
    case .byte(let byte): return .byte(byte)
    case .float(let number): return .float(number)
    case .string(let text): return .string(text)
    case .json: return try self.value(value.opened)
    case .time(let time): return .time(time)
    case .duration(let duration): return .duration(duration)
    case .month(let month): return .month(month)
    case .weekday(let day): return .weekday(day)
    case .zone(let zone): return .zone(zone)
    case .function: throw ExprFailure("a function is no argument of sprig")
    case .array(let array):
      var items: [GoValue] = []
      for item in array.items { items.append(try self.value(item)) }
      let element: GoList.Element =
        switch array.element {
        case .int: .int
        case .string: .string
        default: .any
        }
      return .list(GoList(items, element, isNil: array.isNil))
    case .map(let map):
      var items: [ByteString: GoValue] = [:]
      for (key, item) in map.values {
        guard case .string(let name) = key else {
          throw ExprFailure("sprig takes only maps with strings as keys")
        }
        items[name] = try self.value(item)
      }
      return .map(GoMap(items))
    }
  }

  private static func result(
    _ value: GoValue,
    depth: Int,
    _ run: inout ExprRun
  ) throws(ExprFailure) -> ExprValue {
    guard depth < ExprLimits.depth else { throw ExprFailure("nested too deep") }
    switch value {
    case .absent, .null: return .null
    case .bool(let flag): return .bool(flag)
    case .int(let number), .int64(let number): return .int(number)
    case .uint64(let number): return .int(Int(truncatingIfNeeded: number))
    case .byte(let byte): return .byte(byte)
    case .float(let number): return .float(number)
    case .string(let text):
      try run.write(text.count)
      return .string(text)
    case .time(let time): return .time(time)
    case .duration(let duration): return .duration(duration)
    case .month(let month): return .month(month)
    case .weekday(let day): return .weekday(day)
    case .zone(let zone): return .zone(zone)
    case .complex, .version: throw ExprFailure("expr has no \(value.typeName)")
    case .list(let list):
      try run.grow(list.items.count)
      var items: [ExprValue] = []
      for item in list.items { items.append(try result(item, depth: depth + 1, &run)) }
      let element: ExprArray.Element =
        switch list.element {
        case .int: .int
        case .string: .string
        default: .any
        }
      return .array(ExprArray(items, element, isNil: list.isNil))
    case .map(let map):
      try run.grow(map.count)
      var items: [ExprKey: ExprValue] = [:]
      for (key, item) in map.sorted {
        items[.string(key)] = try result(item, depth: depth + 1, &run)
      }
      return .map(ExprMap(items))
    }
  }
}
