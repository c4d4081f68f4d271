package import Expression
import JSON

/// One kind of vector file: how its cases are put to our code, and what the original answered.
/// Both answers are texts that compare.
package struct VectorFormat: Sendable {
  /// Also the name of its files: `expr.json`, `expr-more.json`.
  package let name: String
  /// Whether the compatibility mode changes what is answered.
  var hasModes = false
  /// The case for people.
  let input: @Sendable (JSON) -> String
  /// What the original answered.
  let expected: @Sendable (JSON) -> String
  /// What our code answers.
  let found: @Sendable (JSON, VectorRun) throws -> String

  /// Every format, one entry each.
  package static let all: [VectorFormat] = [
    .conditions, .contextFilter, .dataFilter, .eventSourceFilter, .expr, .exprFilter, .filters,
    .gjson, .goTemplate, .govaluate, .scriptFilter, .sjson, .timeFilter, .transform, .triggerParams,
  ]

  /// The format of a file by its name, without folder and ending; nil for a name of no format.
  static func named(_ stem: String) -> VectorFormat? {
    all.filter { format in
      guard stem.hasPrefix(format.name) else { return false }
      return stem.dropFirst(format.name.count).first.map { !$0.isLetter } ?? true
    }
    .max { $0.name.count < $1.name.count }
  }
}

/// What the cases of one run are evaluated with.
package struct VectorRun: Sendable {
  package let mode: CompatibilityMode
  package let workers: JQWorkers
  package let world: TemplateWorld

  /// - Parameter worker: the path of a binary that runs `JQService` when it is told so.
  package init(mode: CompatibilityMode, worker: String) {
    self.mode = mode
    workers = JQWorkers(program: worker, count: 1)
    world = TemplateWorld(
      now: { GoTime(seconds: vectorNow, nanoseconds: 0, zone: .utc) },
      zoneFile: zoneFile,
      random: { .random(in: 0 ... .max) }
    )
  }
}

/// What time it is, in seconds since 1970.
let vectorNow = 1_750_000_000

/// A case that is not put to our code.
struct SkippedCase: Error {
  let reason: String
}

extension JSON {
  /// The text of a string member; nil where there is none.
  func string(_ key: String) -> String? {
    guard case .string(let text)? = self[key] else { return nil }
    return text
  }

  /// The text of a string member; empty where there is none.
  func text(_ key: String) -> String { string(key) ?? "" }

  /// The items of an array member.
  func items(_ key: String) -> [JSON] { self[key]?.items ?? [] }

  var items: [JSON]? {
    guard case .array(let items) = self else { return nil }
    return items
  }

  /// The text of a string; that of anything else as JSON.
  var asText: String {
    guard case .string(let text) = self else { return text }
    return text
  }

  /// The same for all spellings of a number and all orders of members.
  var canonical: JSON {
    switch self {
    case .number(let text):
      if let whole = Int(text) { return .number(String(whole)) }
      guard let number = Double(text) else { return self }
      return .number(Int(exactly: number).map(String.init) ?? "\(number)")
    case .array(let items): return .array(items.map(\.canonical))
    case .object(let members):
      return .object(
        members.map { .init(key: $0.key, value: $0.value.canonical) }
          .sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }
      )
    default: return self
    }
  }

  /// As the maker of the vectors spelt data when it ran the original: a space behind `,` and `:`.
  var spelled: [UInt8] {
    switch self {
    case .array(let items):
      [0x5b] + Array(items.map(\.spelled).joined(separator: [0x2c, 0x20])) + [0x5d]
    case .object(let members):
      [0x7b]
        + Array(
          members.map { JSON.string($0.key).encoded() + [0x3a, 0x20] + $0.value.spelled }
            .joined(separator: [0x2c, 0x20])
        ) + [0x7d]
    default: encoded()
    }
  }
}
