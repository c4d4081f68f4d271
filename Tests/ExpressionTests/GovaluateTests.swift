import Expression
import JSON
import Testing

@Suite struct GovaluateTests {
  @Test("govaluate expressions answer what the original answers")
  func vectors() throws {
    guard let cases = try vectorCases("govaluate") else { return }
    var passed = 0
    for item in cases {
      let source = item.string("expr") ?? ""
      guard case .map(let parameters) = ExprValue(item["env"] ?? [:]) else { continue }
      let answer: Result<ExprValue, ExprError>
      do throws(ExprError) {
        answer = .success(
          try GovaluateProgram(source).evaluate { parameters.values[.string($0)] }
        )
      } catch { answer = .failure(error) }
      if let problem = difference(answer, item) {
        Issue.record("\(item.string("id") ?? "") \(source): \(problem)")
      } else {
        passed += 1
      }
    }
    print("vectors: govaluate \(passed) ran, \(cases.count - passed) failed")
  }

  private func difference(_ answer: Result<ExprValue, ExprError>, _ item: JSON) -> String? {
    switch answer {
    case .failure(let error):
      let phase = error.phase.rawValue
      return item["expect_error"] == true && phase == item.string("phase")
        ? nil : "failed in phase \(phase): \(error)"
    case .success(let value):
      let shown = described(value)
      if item["expect_error"] == true { return "no error, but \(shown.json.text)" }
      let isSame = JSON.isSame(shown.json, item["expect"] ?? .null)
      return isSame && shown.type == item.string("type")
        ? nil : "found \(shown), expected \(item["expect"]?.text ?? "")"
    }
  }

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
