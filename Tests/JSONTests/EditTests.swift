import JSON
import Testing

@Suite struct EditTests {
  @Test("what would fill memory is refused")
  func bounds() {
    #expect(throws: JSONPathError.self) { _ = try JSONDestination("a.10001") }
    #expect(throws: JSONPathError.self) { _ = try JSONDestination("99999999999999999999") }
    #expect(throws: JSONPathError.self) { _ = try JSONDestination("") }
  }
}
