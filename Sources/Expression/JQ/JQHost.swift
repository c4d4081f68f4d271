import CJQ
import Glibc
import JSON

/// What programs ask of their worker: regular expressions and texts of JSON as Go has them.
/// Questions and answers are JSON; a question is a list of a word and what it needs.
private enum JQHost {
  /// Why a question has no answer, for the program to catch.
  struct Refusal: Error {
    let words: String
  }

  static func answer(_ question: [UInt8]) -> JSON {
    do throws(Refusal) {
      guard let json = try? JSON(parsing: question), case .array(let parts) = json,
        case .string(let word)? = parts.first
      else { throw Refusal(words: "the question cannot be read") }
      switch (word, parts.count) {
      case ("match", 4): return [try matches(parts, onlyTruth: false)]
      case ("test", 4): return [try matches(parts, onlyTruth: true)]
      case ("tojson", 2):
        var out: [UInt8] = []
        append(parts[1], to: &out)
        return [.string(String(decoding: out, as: UTF8.self))]
      case ("fromjson", 2):
        guard case .string(let text) = parts[1] else { throw Refusal(words: "it is no text") }
        do throws(JSONError) { return [try JSON(parsing: Array(text.utf8))] } catch {
          throw Refusal(words: "\(text.prefix(100)) is no JSON: \(error)")
        }
      default: throw Refusal(words: "there is no '\(word)'")
      }
    } catch { return .string(error.words) }
  }

  // MARK: Regular expressions

  private static func matches(_ parts: [JSON], onlyTruth: Bool) throws(Refusal) -> JSON {
    var flags = ""
    guard case .string(let subject) = parts[1], case .string(let text) = parts[2] else {
      throw Refusal(words: "a regular expression and what it is looked for in must be texts")
    }
    switch parts[3] {
    case .null: break
    case .string(let letters): flags = letters
    default: throw Refusal(words: "the flags of a regular expression must be a text")
    }
    guard flags.allSatisfy({ "gim".contains($0) }) else {
      throw Refusal(words: "unsupported regular expression flags '\(flags)'")
    }
    let marks = (flags.contains("m") ? "(?s)" : "") + (flags.contains("i") ? "(?i)" : "")
    let pattern: RE2
    do throws(RE2Error) { pattern = try RE2(marks + text) } catch {
      throw Refusal(words: "\(error)")
    }
    if onlyTruth { return .bool(pattern.isMatch(subject)) }
    let search = GoPattern(pattern: pattern, text: Array(subject.utf8))
    do throws(TemplateFailure) {
      let found = try search.matches(limit: flags.contains("g") ? -1 : 1)
      var places = Places(search.text)
      return .array(found.map { described($0, search, pattern.groupNames, &places) })
    } catch { throw Refusal(words: error.message) }
  }

  /// Offsets in code points, asked for more or less from the left.
  private struct Places {
    private let text: [UInt8]
    private var byte = 0
    private var count = 0

    init(_ text: [UInt8]) { self.text = text }

    mutating func count(before place: Int) -> Int {
      if place < byte { (byte, count) = (0, 0) }
      while byte < place {
        if text[byte] & 0xc0 != 0x80 { count += 1 }
        byte += 1
      }
      return count
    }
  }

  private static func described(
    _ groups: [Range<Int>?],
    _ search: GoPattern,
    _ names: [String?],
    _ places: inout Places
  ) -> JSON {
    func members(_ range: Range<Int>?) -> [JSON.Member] {
      guard let range else {
        return [
          .init(key: "offset", value: -1), .init(key: "length", value: 0),
          .init(key: "string", value: .null),
        ]
      }
      let start = places.count(before: range.lowerBound)
      let length = places.count(before: range.upperBound) - start
      return [
        .init(key: "offset", value: JSON(start)), .init(key: "length", value: JSON(length)),
        .init(key: "string", value: .string(search.part(range).description)),
      ]
    }
    let whole = members(groups[0])
    let captures = zip(groups.dropFirst(), names).map { range, name in
      JSON.object(members(range) + [.init(key: "name", value: name.map { .string($0) } ?? .null)])
    }
    return .object(whole + [.init(key: "captures", value: .array(captures))])
  }

  // MARK: Texts of JSON

  private static func append(_ json: JSON, to out: inout [UInt8]) {
    switch json {
    case .null: out += "null".utf8
    case .bool(let truth): out += (truth ? "true" : "false").utf8
    case .number(let text): out += (Double(text).flatMap(GoNumber.json) ?? "null").utf8
    case .string(let text): append(text, to: &out)
    case .array(let items):
      out.append(0x5b)
      for (place, item) in items.enumerated() {
        if place > 0 { out.append(0x2c) }
        append(item, to: &out)
      }
      out.append(0x5d)
    case .object(let members):
      out.append(0x7b)
      let sorted = members.map { (ByteString($0.key), $0) }.sorted { $0.0 < $1.0 }
      for (place, (_, member)) in sorted.enumerated() {
        if place > 0 { out.append(0x2c) }
        append(member.key, to: &out)
        out.append(0x3a)
        append(member.value, to: &out)
      }
      out.append(0x7d)
    }
  }

  private static func append(_ text: String, to out: inout [UInt8]) {
    out.append(0x22)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5c: out += [0x5c, byte]
      case 0x08: out += "\\b".utf8
      case 0x0c: out += "\\f".utf8
      case 0x0a: out += "\\n".utf8
      case 0x0d: out += "\\r".utf8
      case 0x09: out += "\\t".utf8
      case ..<0x20, 0x7f:
        let hex = String(byte, radix: 16)
        out += ("\\u00" + (hex.count < 2 ? "0" : "") + hex).utf8
      default: out.append(byte)
      }
    }
    out.append(0x22)
  }
}

/// `JQHost`, as the other side calls it.
let jqHost: cjq_host = { (question, count, answerCount) in
  let bytes = unsafe UnsafeRawBufferPointer(start: question, count: count)
  let answer = unsafe JQHost.answer(Array(bytes)).encoded()
  guard let out = unsafe malloc(answer.count + 1)?.assumingMemoryBound(to: CChar.self) else {
    return nil
  }
  for (place, byte) in answer.enumerated() { unsafe out[place] = CChar(bitPattern: byte) }
  unsafe answerCount.pointee = answer.count
  return unsafe out
}
