extension EventSourceFilter {
  /// How an expression is read otherwise in mode `argo-1.9`, as far as it shows itself; nil where
  /// the modes agree.
  package static func contrast(_ expression: String, world: TemplateWorld) -> String? {
    do throws(ExprError) {
      _ = try EventSourceFilter(expression, mode: .argo19, world: world)
    } catch { return "found what is an error of each event there: \(error.message)" }
    guard let node = try? ExprParser.parse(ByteString(expression)) else { return nil }
    return dependsOnMode(node, decides: true)
      ? "found an operator that takes nil, or lists, otherwise there" : nil
  }

  private static let textOperators: Set<ByteString> = [
    "contains", "startsWith", "endsWith", "matches",
  ]

  /// - Parameter decides: whether an error in `node` and false refuse the event alike.
  private static func dependsOnMode(_ node: ExprNode, decides: Bool) -> Bool {
    guard case .binary(let sign, let left, let right) = node.kind else {
      return node.parts.contains { dependsOnMode($0, decides: false) }
    }
    switch sign {
    case "&&", "and":
      return dependsOnMode(left, decides: decides) || dependsOnMode(right, decides: decides)
    case "==", "!=":
      if left.isList || right.isList { return true }
    case let sign where textOperators.contains(sign):
      if !decides, !(left.isText && right.isText) { return true }
    default: break
    }
    return dependsOnMode(left, decides: false) || dependsOnMode(right, decides: false)
  }
}

extension ExprNode {
  fileprivate var isText: Bool {
    if case .string = kind { true } else { false }
  }

  fileprivate var isList: Bool {
    switch kind {
    case .array: true
    case .binary(let sign, _, _): sign == ".."
    default: false
    }
  }
}
