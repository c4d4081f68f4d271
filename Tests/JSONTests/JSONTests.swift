import Foundation
import JSON
import Testing

@Suite struct JSONTests {
  @Test("an error names the byte and what was expected")
  func errors() {
    #expect(throws: JSONError(offset: 5, message: "found '}', expected a value")) {
      _ = try JSON(parsing: Array("{\"a\":}".utf8))
    }
    #expect(throws: JSONError(offset: 2, message: "found the end, expected ',' or ']'")) {
      _ = try JSON(parsing: Array("[1".utf8))
    }
  }

  @Test("members are added at the end of an object, the rest stays byte for byte")
  func appending() throws {
    func added(_ text: String) throws -> String? {
      try JSONDocument(Array(text.utf8)).objectByAppending([.init(key: "k", value: "v")])
        .map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(try added(" {\"a\" : 1.0e1 , \"b\":[ ]} ") == "{\"a\" : 1.0e1 , \"b\":[ ],\"k\":\"v\"}")
    #expect(try added("{}") == "{\"k\":\"v\"}")
    #expect(try added("{\"k\":1,\"a\": \"}\"}") == "{\"a\": \"}\",\"k\":\"v\"}")
    #expect(try added("{\"k\":1}") == "{\"k\":\"v\"}")
    #expect(try added("[]") == nil)
  }
}
