import Plugin
import TestKit
import Testing

@Suite struct LogTests {
  @Test("with an interval one firing of many is written, and each succeeds")
  func interval() async throws {
    let host = try Host("/nowhere")
    let (made, problems) = try made("log", #"{"intervalSeconds": 3600}"#, host)
    #expect(problems.isEmpty)
    let trigger = try #require(made)
    for name in ["a", "b", "c"] {
      let outcome = await trigger.fire(firing(name, data: "{\"name\": \"\(name)\"}"))
      #expect(outcome.why == "")
    }
    #expect(host.lines.count == 1)
    #expect(host.lines[0].contains(#"data={"name": "a"}"#))
    await host.close()
  }
}
