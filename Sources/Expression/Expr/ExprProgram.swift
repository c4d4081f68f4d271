/// A compiled expression of the expr language (spec section 1).
package struct ExprProgram: Sendable {
  package let source: String
  private let text: ByteString
  private let code: ExprCode
  private let variables: Int
  private let isStrict: Bool

  /// - Throws: `ExprError` of the phase `parse` or `compile`.
  package init(_ source: String) throws(ExprError) { try self.init(source, checking: .nothing) }

  init(_ source: String, checking strictness: ExprCheck.Strictness) throws(ExprError) {
    self.source = source
    let text = ByteString(source)
    self.text = text
    isStrict = strictness == .strict
    do throws(ExprFault) {
      var compiler = ExprCompiler()
      let node = try ExprParser.parse(text)
      try ExprCheck.check(node, strictness)
      code = try compiler.code(node)
      variables = compiler.variables
    } catch {
      throw ExprError(error.phase, error.message, at: error.offset ?? 0, in: text)
    }
  }

  /// The value for the names of an environment. The time, memory and text it uses are bounded
  /// (`ExprLimits`).
  /// - Throws: `ExprError` of the phase `run`.
  package func evaluate(
    _ names: any ExprNames,
    in world: TemplateWorld
  ) throws(ExprError) -> ExprValue {
    var run = ExprRun(names: names, world: world, variables: variables, isStrict: isStrict)
    do throws(ExprFault) { return try code(&run) } catch {
      throw ExprError(.run, error.message, at: error.offset ?? 0, in: text)
    }
  }
}
