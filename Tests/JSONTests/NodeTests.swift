import JSON
import TestKit
import Testing

/// Looking into a checked document without reading all of it.
@Suite struct NodeTests {
  /// Documents with all that a walk could stumble over.
  private struct Maker {
    var random: Seeded
    private static let texts = [
      "", "a", "}", "]", "\"", "\\", "{[", "a\"}", "\\\"]", "é", "\u{1}", "long enough for a word",
      "0", "1", "a.b",
    ]

    mutating func value(_ depth: Int) -> JSON {
      switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &random) {
      case 0: return .null
      case 1: return true
      case 2:
        return .number(["0", "-1.5", "1e3", "123456789"].randomElement(using: &random) ?? "0")
      case 3, 4: return .string(text())
      case 5:
        return .array((0..<Int.random(in: 0..<5, using: &random)).map { _ in value(depth - 1) })
      default:
        return .object(
          (0..<Int.random(in: 0..<5, using: &random)).map { _ in
            .init(key: text(), value: value(depth - 1))
          }
        )
      }
    }

    mutating func text() -> String { Self.texts.randomElement(using: &random) ?? "" }

    /// The value spelt with white space wherever it may stand.
    mutating func spelt(_ json: JSON) -> [UInt8] {
      var out = space()
      switch json {
      case .array(let items):
        out += [0x5b] + Array(items.map { spelt($0) }.joined(separator: [0x2c])) + space() + [0x5d]
      case .object(let members):
        let parts = members.map { member in
          space() + JSON.string(member.key).encoded() + space() + [0x3a] + spelt(member.value)
        }
        out += [0x7b] + Array(parts.joined(separator: [0x2c])) + space() + [0x7d]
      default: out += json.encoded()
      }
      return out + space()
    }

    private mutating func space() -> [UInt8] {
      Array([[], [], [0x20], [0x0a, 0x09]].randomElement(using: &random) ?? [])
    }
  }

  private func compare(_ node: JSONNode, _ json: JSON, _ path: String) {
    #expect(node.value.json == json, "\(path)")
    switch json {
    case .object(let members):
      let found = node.members
      #expect(found.count == members.count, "\(path)")
      for (entry, member) in zip(found, members) {
        compare(entry.value, member.value, path + "/" + member.key)
        let last = members.last { $0.key == member.key }
        let name = Array(member.key.utf8)[...]
        #expect(node.lastMember(name)?.value.json == last?.value, "\(path)")
      }
      #expect(node.items.isEmpty)
    case .array(let items):
      #expect(node.items.count == items.count, "\(path)")
      for (entry, item) in zip(node.items, items) { compare(entry, item, path + "/#") }
      #expect(node.members.isEmpty)
    default: #expect(node.members.isEmpty && node.items.isEmpty)
    }
  }

  /// The first of all ways along `keys`.
  private func look(_ json: JSON, _ keys: ArraySlice<String>) -> JSON? {
    guard let key = keys.first else { return json }
    switch json {
    case .object(let members):
      return members.lazy.filter { $0.key == key }
        .compactMap { look($0.value, keys.dropFirst()) }.first
    case .array(let items):
      guard let index = Int(key), items.indices.contains(index) else { return nil }
      return look(items[index], keys.dropFirst())
    default: return nil
    }
  }

  @Test("every part of a document is found as in its tree", arguments: 0..<40 as Range<UInt64>)
  func parts(seed: UInt64) throws {
    var maker = Maker(random: Seeded(seed))
    for _ in 0..<20 {
      let json = maker.value(5)
      let document = try JSONDocument(maker.spelt(json))
      compare(document.node, json, "")
      for _ in 0..<10 {
        let keys = [maker.text(), maker.text()]
        #expect(document.value(of: keys[0], keys[1])?.json == look(json, keys[...]), "\(keys)")
      }
    }
  }

  @Test("a number of few digits is the one that is spelt")
  func decimals() throws {
    for text in ["0", "-0", "7", "-12", "1.5", "0.1", "123456789.012345", "0.000000000000001"] {
      let number = try JSONDocument(Array(text.utf8)).root.double
      #expect(number.bitPattern == Double(text)?.bitPattern, "\(text)")
    }
    var random = Seeded(7)
    for _ in 0..<2000 {
      let text =
        "\(Int.random(in: -9_999_999...9_999_999, using: &random)).\(Int.random(in: 0...99_999_999, using: &random))"
      let number = try JSONDocument(Array(text.utf8)).root.double
      #expect(number == Double(text), "\(text)")
    }
  }
}
