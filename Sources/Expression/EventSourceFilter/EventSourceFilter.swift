package import JSON

/// An event source's `filter.expression` (spec section 1.9): expr over the event's data, with a
/// few functions more.
package struct EventSourceFilter: Sendable {
  private let program: ExprProgram
  private let world: ExprWorld

  /// - Throws: `ExprError` for a text that is no expression, or one that can only fail.
  package init(
    _ expression: String,
    mode: CompatibilityMode = .fixed,
    world: ExprWorld
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
    let names: EventSourceNames
    switch ExprValue(data.root) {
    case .null: names = EventSourceNames([])
    case .json(let json) where json.isObject: names = EventSourceNames(json.members)
    default: return .error("the data is no JSON object")
    }
    let value: ExprValue
    do throws(ExprError) { value = try program.evaluate(names, in: world) } catch {
      return .error("\(error.line):\(error.column): \(error.message)")
    }
    guard case .bool(let isWanted) = value else {
      return .error("the expression gives \(value.typeName), not true or false")
    }
    return isWanted ? .pass : .refused("the expression is false")
  }
}
