import CLua
package import JSON

/// Why a script is refused, or what stopped it.
package struct LuaError: Error, Equatable, CustomStringConvertible {
  package enum Kind: Sendable {
    case syntax, execution
    /// More instructions, memory, steps, time or output than one run may have.
    case limit
    /// What came out is nothing the caller can use.
    case result
  }

  package let kind: Kind
  package let message: String
  /// From 1; nil where the words name none.
  package let line: Int?
  /// That line of the script, and below it a caret.
  package let excerpt: String?

  init(_ kind: Kind, _ words: String, script: String = "") {
    self.kind = kind
    // Lua puts `<string>:LINE:` before its words, as the original calls a script.
    let parts = words.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    if parts.count == 3, parts[0] == "<string>", let line = Int(parts[1]) {
      message = String(parts[2].drop { $0 == " " })
      self.line = line
      let lines = script.split(separator: "\n", omittingEmptySubsequences: false)
      excerpt = (1...lines.count).contains(line) ? Self.marked(lines[line - 1]) : nil
    } else {
      (message, line, excerpt) = (words, nil, nil)
    }
  }

  /// Lua says no column: the caret stands under the first character of the line.
  private static func marked(_ line: Substring) -> String {
    line + "\n" + line.prefix { $0 == " " || $0 == "\t" } + "^"
  }

  package var description: String {
    (line.map { "line \($0): " } ?? "") + message + (excerpt.map { "\n" + $0 } ?? "")
  }
}

/// Bounds on one run of a script.
package struct LuaLimits: Sendable {
  /// Bytes held at a time.
  package var memory = 16 << 20
  /// Of the virtual machine.
  package var instructions = 10_000_000
  /// Characters that pattern functions look at, and elements that table functions move.
  package var steps = 50_000_000
  /// Of the processor, the last resort.
  package var time = Duration.seconds(2)
  /// Bytes of the result.
  package var result = 4 << 20

  package init() {}
}

/// A script in Lua 5.1 with the libraries base, string, table and math, and of `os` only time.
/// Nothing of a run is left for the next.
package struct LuaScript: Sendable {
  private let text: String
  /// The same, ended by a zero.
  private let code: [CChar]
  private let limits: LuaLimits

  /// What Lua does in another way than gopher-lua, which Argo Events has: the deliberate
  /// differences.
  package static let differences = [
    "io, debug, coroutine and channel are not there, of os only time, date, clock and difftime; "
      + "require, dofile and all that loads code raise an error: a script sees its event alone",
    "print writes nothing and collectgarbage answers 0",
    "goto and labels do not parse",
    "the words of the language's own errors are those of Lua 5.1",
    "% rounds where one operand is more than 2^53 times the other",
    "sin, pow and their like may differ in the last digit",
    "a text that is used as a number is decimal, also with a leading 0",
    "an element that is put behind the end of a table leaves its length",
    "pairs visits the members of a table in another order",
    "an argument too many of string.format is shown with another name of its type",
    "a pattern has at most 32 groups, and a run is bounded in instructions, memory and time",
  ]

  /// Longer scripts are refused, in bytes.
  package static let bytesMax = 1 << 20

  /// - Throws: `LuaError` of kind `syntax` with its line.
  package init(_ text: String, limits: LuaLimits = LuaLimits()) throws(LuaError) {
    guard text.utf8.count <= Self.bytesMax else {
      throw LuaError(.syntax, "longer than \(Self.bytesMax) bytes")
    }
    self.text = text
    code = text.utf8.map { CChar(bitPattern: $0) } + [0]
    self.limits = limits
    _ = try run(nil, now: 0, onlyTruth: true)
  }

  /// `filters.script`: whether the last value the script returns is exactly true.
  /// - Parameter now: seconds since 1970, for `os.time`.
  /// - Throws: `LuaError` for data that are no object, and what the script raises.
  package func passes(_ data: JSON, now: Int) throws(LuaError) -> Bool {
    try run(try LuaTape.event(data), now: now, onlyTruth: true).first == LuaTape.Tag.true.rawValue
  }

  /// `transform.script`: the last value the script returns, which must be a table.
  /// - Throws: `LuaError` for data that are no object, what the script raises, and a result that
  ///   JSON does not have.
  package func transform(_ data: JSON, now: Int) throws(LuaError) -> JSON {
    let result = try value(data, now: now)
    switch result {
    case .object, .array: return result
    default: throw LuaError(.result, "the script must return a table")
    }
  }

  /// The last value the script returns, whatever it is.
  /// - Throws: `LuaError`, as `transform`.
  package func value(_ data: JSON, now: Int) throws(LuaError) -> JSON {
    try LuaTape.json(try run(try LuaTape.event(data), now: now, onlyTruth: false))
  }

  private func run(_ tape: [UInt8]?, now: Int, onlyTruth: Bool) throws(LuaError) -> [UInt8] {
    let bounds = unsafe clua_limits(
      memory_max: limits.memory,
      instructions_max: Int64(limits.instructions),
      steps_max: Int64(limits.steps),
      time_max: Int64(limits.time / .nanoseconds(1)),
      result_max: limits.result,
      now: Int64(now),
      format: luaFormat
    )
    let result =
      if let tape {
        unsafe clua_run(code, code.count - 1, tape, tape.count, onlyTruth ? 1 : 0, bounds)
      } else {
        unsafe clua_run(code, code.count - 1, nil, 0, 1, bounds)
      }
    defer { unsafe clua_release(result) }
    let bytes = unsafe Array(UnsafeBufferPointer(start: result.bytes, count: result.count))
    if unsafe result.outcome == clua_done { return bytes }
    let words = String(decoding: bytes, as: UTF8.self)
    let kind: LuaError.Kind =
      unsafe result.outcome == clua_syntax
      ? .syntax : result.outcome == clua_limit ? .limit : .execution
    throw LuaError(kind, words, script: text)
  }
}
