import Expression
import JSON
import Testing

@Suite struct EventSourceFilterTests {
  @Test("event source filters judge as Argo Events does")
  func vectors() throws {
    guard let cases = try vectorCases("eventsourcefilter") else { return }
    var passed = 0
    for item in cases {
      let expression = item.string("expression") ?? ""
      let verdict: FilterVerdict
      do throws(ExprError) {
        verdict = try EventSourceFilter(expression, mode: .argo19, world: testWorld)
          .evaluate(Array((item.string("data") ?? "").utf8))
      } catch { verdict = .error("\(error)") }
      let answer: JSON =
        switch verdict {
        case .pass: true
        case .refused: false
        case .error: "error"
        }
      if answer == item["expect"] {
        passed += 1
      } else {
        Issue.record("\(item.string("id") ?? "") \(expression): \(verdict)")
      }
    }
    print("vectors: eventsourcefilter \(passed) ran, \(cases.count - passed) failed")
  }
}
