import JSON
import Testing

@Suite struct EditTests {
  @Test("edits keep every other byte, as the original does")
  func vectors() throws {
    let cases = try cases("sjson.json")
    for item in cases {
      guard let json = item["json"]?.asString, let path = item["path"]?.asString,
        let operation = item["op"]?.asString
      else { continue }
      let name = "\(item["id"]?.asString ?? "") \(operation) \(path)"
      let text = Array(json.utf8)
      var got: String?
      do {
        let place = try JSONDestination(path)
        let bytes =
          switch operation {
          case "delete": try place.deleting(in: text)
          case "setraw":
            try place.setting(.raw(Array((item["raw"]?.asString ?? "").utf8)), in: text)
          default: try place.setting(content(item["value"] ?? .null), in: text)
          }
        got = String(decoding: bytes, as: UTF8.self)
      } catch {}
      #expect(got == item["expect"]?.asString, "\(name)")
    }
    if !cases.isEmpty { print("vectors: sjson \(cases.count) ran, 0 not yet supported") }
  }

  /// As Go's encoder writes it: keys sorted, numbers in plain decimals.
  private func content(_ value: JSON) -> JSONContent {
    if case .string(let text) = value { return .text(text) }
    return .raw(sorted(value).encoded())
  }

  private func sorted(_ value: JSON) -> JSON {
    switch value {
    case .object(let members):
      .object(
        members.map { .init(key: $0.key, value: sorted($0.value)) }.sorted { $0.key < $1.key }
      )
    case .array(let items): .array(items.map(sorted))
    case .number(let text):
      (try? JSONDocument(Array(text.utf8)).root.string).map { .number($0) } ?? value
    default: value
    }
  }

  @Test("what would fill memory is refused")
  func bounds() {
    #expect(throws: JSONPathError.self) { _ = try JSONDestination("a.10001") }
    #expect(throws: JSONPathError.self) { _ = try JSONDestination("99999999999999999999") }
    #expect(throws: JSONPathError.self) { _ = try JSONDestination("") }
  }
}
