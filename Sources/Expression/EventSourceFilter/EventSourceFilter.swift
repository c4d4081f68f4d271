package import JSON

/// An event source's `filter.expression` (spec section 1.9): expr over the event's data, with a
/// few functions more.
package struct EventSourceFilter: Sendable {
  private let program: ExprProgram
  private let world: TemplateWorld

  /// - Throws: `ExprError` for a text that is no expression, or one that can only fail.
  package init(
    _ expression: String,
    mode: CompatibilityMode = .fixed,
    world: TemplateWorld
  ) throws(ExprError) {
    program = try ExprProgram(expression, checking: mode == .argo19 ? .strict : .literals)
    self.world = world
  }

  /// Whether an event with this data is wanted. Data must be an object; null counts as an empty
  /// one.
  package func evaluate(_ data: [UInt8]) -> FilterVerdict {
    do throws(JSONError) { return evaluate(try JSONDocument(data)) } catch {
      return .error("the data is not JSON: \(error)")
    }
  }

  /// Whether an event with this data is wanted.
  package func evaluate(_ data: JSONDocument) -> FilterVerdict {
    guard let names = Self.names(data) else { return .error("the data is no JSON object") }
    let value: ExprValue
    do throws(ExprError) { value = try program.evaluate(names, in: world) } catch {
      return .error("\(error.line):\(error.column): \(error.message)")
    }
    guard case .bool(let isWanted) = value else {
      return .error("the expression gives \(value.typeName), not true or false")
    }
    return isWanted ? .pass : .refused("the expression is false")
  }

  /// The value of an expression as a filter sees the data, whatever its type; without data, or
  /// with data that are no object, there are only the functions.
  package static func value(
    of expression: String,
    _ data: JSONDocument?,
    in world: TemplateWorld
  ) throws(ExprError) -> ExprValue {
    let names = data.flatMap(names) ?? EventSourceNames(nil)
    return try ExprProgram(expression, checking: .literals).evaluate(names, in: world)
  }

  private static func names(_ data: JSONDocument) -> EventSourceNames? {
    switch ExprValue(data) {
    case .null: EventSourceNames(nil)
    case .json(let json) where json.isObject: EventSourceNames(json)
    default: nil
    }
  }
}
