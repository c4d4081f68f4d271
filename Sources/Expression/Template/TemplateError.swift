/// Why a template does not parse, or what stopped it.
package struct TemplateError: Error, Equatable, CustomStringConvertible {
  package enum Phase: String, Sendable {
    case parse, execution
    /// More steps, memory, output or depth than one execution may have.
    case limit
  }

  package let phase: Phase
  package let message: String
  /// Byte offset in the template's text.
  package let offset: Int
  /// Both from 1; the column counts code points.
  package let line: Int
  package let column: Int
  /// The line of the template, and below it a caret under the column.
  package let excerpt: String

  init(_ phase: Phase, _ message: String, at offset: Int, in text: [UInt8]) {
    self.phase = phase
    self.message = message
    let offset = min(max(offset, 0), text.count)
    self.offset = offset
    let start = (text[..<offset].lastIndex(of: 0x0a) ?? -1) + 1
    let end = text[offset...].firstIndex(of: 0x0a) ?? text.count
    line = text[..<offset].count { $0 == 0x0a } + 1
    let before = String(decoding: text[start..<offset], as: UTF8.self).unicodeScalars
    column = before.count + 1
    let shown = String(decoding: text[start..<end], as: UTF8.self)
    let pad = before.map { $0 == "\t" ? "\t" : " " }.joined()
    excerpt = shown + "\n" + pad + "^"
  }

  package var description: String { "line \(line), column \(column): \(message)\n\(excerpt)" }
}

/// What goes wrong below the level at which a position is known.
package struct TemplateFailure: Error, Equatable {
  package let message: String
  let isLimit: Bool

  init(_ message: String, isLimit: Bool = false) {
    self.message = message
    self.isLimit = isLimit
  }
}

/// Bounds on one execution.
package struct TemplateLimits: Sendable {
  /// Commands, iterations and elements looked at.
  package var steps: Int
  /// Bytes of output.
  package var output: Int
  /// Bytes of values made on the way.
  package var memory: Int
  /// Blocks, calls and parentheses within each other; also of values that are printed.
  package var depth: Int

  package init(
    steps: Int = 1_000_000,
    output: Int = 4 << 20,
    memory: Int = 8 << 20,
    depth: Int = 100
  ) {
    self.steps = steps
    self.output = output
    self.memory = memory
    self.depth = depth
  }
}

/// The world outside of a template or an expression: nothing else of it is seen. `env` is always empty.
package struct TemplateWorld: Sendable {
  package let now: @Sendable () -> GoTime
  /// The bytes of a file of the time zone database; nil for a name without one.
  package let zoneFile: @Sendable (String) -> [UInt8]?
  /// Random bits, for `uuidv4`, `randAlpha` and the like.
  package let random: @Sendable () -> UInt64

  package init(
    now: @escaping @Sendable () -> GoTime,
    zoneFile: @escaping @Sendable (String) -> [UInt8]?,
    random: @escaping @Sendable () -> UInt64
  ) {
    self.now = now
    self.zoneFile = zoneFile
    self.random = random
  }
}
