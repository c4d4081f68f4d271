import Expression
import JSON
import Testing

@Suite struct GovaluateTests {
  @Test("an error has its place and a caret under it")
  func caret() throws {
    #expect(throws: ExprError.self) { _ = try GovaluateProgram("a == ") }
    do throws(ExprError) {
      _ = try GovaluateProgram("n > 1 &&! b")
      Issue.record("no error")
    } catch {
      #expect(error.column == 7)
      #expect(error.snippet == "n > 1 &&! b\n      ^")
    }
  }
}
