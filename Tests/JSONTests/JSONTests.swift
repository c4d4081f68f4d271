import Foundation
import JSON
import Testing

@Suite struct JSONTests {
  @Test("what must parse parses, what must be refused is refused, nothing traps")
  func parsing() throws {
    guard let folder = vectors("json-parsing") else { return }
    var ran = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)))
      let tree = try? JSON(parsing: bytes)
      let document = try? JSONDocument(bytes)
      switch name.prefix(2) {
      case "y_": #expect(tree != nil && document != nil, "\(name)")
      case "n_": #expect(tree == nil && document == nil, "\(name)")
      default: #expect((tree == nil) == (document == nil), "\(name)")
      }
      if let tree { #expect(try JSON(parsing: tree.encoded()) == tree, "\(name)") }
      ran += 1
    }
    #expect(ran > 250)
    print("vectors: json-parsing \(ran) ran, 0 not yet supported")
  }

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
