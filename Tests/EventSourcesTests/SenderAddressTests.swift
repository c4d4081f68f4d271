import EventSources
import HTTP
import JSON
import Plugin
import Posix
import Testing

@Suite struct SenderAddressTests {
  private func fields(_ own: JSON) -> JSON {
    var fields = TestForge.github.fields
    fields.set(own, at: "signalbox")
    return fields
  }

  @Test(
    "senders elsewhere get the answer of a wrong proof, whatever they prove",
    arguments: [
      ("192.0.2.7", true), ("192.0.3.7", false), ("::ffff:192.0.2.7", true),
      ("2001:db8::5", true), ("2001:db9::5", false), (nil, false),
    ] as [(String?, Bool)]
  )
  func addresses(client: String?, isAdmitted: Bool) async throws {
    let host = RecordingHost(secrets: ["forge/secret": "canary"])
    let source = try TestForge.github.source(
      host,
      fields(["allowFrom": ["192.0.2.0/24", "2001:db8::/32"]])
    )
    let body = Array(#"{"a":1}"#.utf8)
    let headers =
      TestForge.github.proof(body, "canary") + TestForge.github.delivery("1")
    var head = RequestHead(
      method: "POST",
      path: "/hook",
      query: "",
      headers: Headers(
        [.init("Host", "x"), .init("Content-Type", "application/json")]
          + headers.map { .init($0.0, $0.1) }
      )
    )
    head.client = client.flatMap { NetworkAddress($0) }
    let route = try #require(source.routes.first)
    let answer = await route.handler.accept(head).response(to: Request(head: head, body: body))
    #expect(answer.status == (isAdmitted ? 202 : 401))
    #expect(host.reasons == (isAdmitted ? [] : ["address"]))
    if !isAdmitted {
      let wrong = try await TestForge.post(TestForge.github.source(host), body, [])
      #expect(wrong.body == answer.body)
    }
  }

  @Test("what is no address is refused with its place")
  func refused() throws {
    let host = RecordingHost(secrets: ["forge/secret": "canary"])
    for (own, words) in [
      (["allowFrom": ["10.0.0.1/8"]], "allowFrom: found '10.0.0.1/8'"),
      (["allowFrom": []], "allowFrom: found no address"),
    ] as [(JSON, String)] {
      let refusal = #expect(throws: TestForge.Refused.self) {
        _ = try TestForge.github.source(host, fields(own))
      }
      #expect(refusal?.description.contains(words) == true, "\(refusal?.description ?? "")")
    }
  }
}
