/// Why an expression cannot be compiled or evaluated, and where.
package struct ExprError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Phase: String, Sendable { case parse, compile, run }

  package let phase: Phase
  /// From 1; columns count code points.
  package let line: Int
  package let column: Int
  package let message: String
  /// The line of the expression with a caret under the place.
  package let snippet: String

  /// - Parameter offset: the byte in `source`.
  init(_ phase: Phase, _ message: String, at offset: Int, in source: ByteString) {
    self.phase = phase
    self.message = message
    var line = 1
    var start = 0
    let offset = min(max(offset, 0), source.count)
    for (at, byte) in source.bytes.prefix(offset).enumerated() where byte == 0x0a {
      line += 1
      start = at + 1
    }
    let end = source.index(of: "\n", from: start) ?? source.count
    column = source[start..<max(start, offset)].runeCount + 1
    self.line = line
    let shown = source[start..<end].description.map { $0 == "\t" ? " " : $0 }
    snippet = String(shown) + "\n" + String(repeating: " ", count: column - 1) + "^"
  }

  package var description: String { "\(line):\(column): \(message)\n\(snippet)" }
}

/// An error on its way up to where the source text is known.
struct ExprFault: Error {
  let message: String
  /// The byte offset of the faulty part; nil until a part of the program claims it.
  var offset: Int?
  var phase = ExprError.Phase.run

  init(_ message: String, at offset: Int? = nil, phase: ExprError.Phase = .run) {
    self.message = message
    self.offset = offset
    self.phase = phase
  }

  func placed(at offset: Int) -> ExprFault {
    self.offset == nil ? ExprFault(message, at: offset, phase: phase) : self
  }
}
