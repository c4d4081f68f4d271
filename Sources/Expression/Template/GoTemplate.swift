package import JSON

/// A template of Go's text/template with the functions of sprig: parsed once, executed often.
package struct GoTemplate: Sendable {
  private let text: [UInt8]
  private let templates: [ByteString: [TemplateNode]]
  private let called: Set<String>
  private let patterns = TemplatePatterns()

  /// Longer templates are refused, in bytes.
  package static let bytesMax = 1 << 20

  /// - Throws: `TemplateError` with the place that does not fit.
  package init(parsing text: String) throws(TemplateError) {
    let bytes = Array(text.utf8)
    guard bytes.count <= Self.bytesMax else {
      throw TemplateError(.limit, "longer than \(Self.bytesMax) bytes", at: 0, in: [])
    }
    var parser = TemplateParser(bytes)
    try parser.template()
    self.text = bytes
    templates = parser.templates
    called = parser.called
  }

  /// The functions it calls that answer something else here than in Argo Events, by name: what
  /// `validate` warns of.
  package var differingFunctions: [String] {
    called.filter { TemplateFunctions.differences[$0] != nil }.sorted()
  }

  /// The text that the template makes of `data`.
  /// - Throws: `TemplateError` with the place that failed; no part of the text survives.
  package func execute(
    _ data: GoValue,
    limits: TemplateLimits = TemplateLimits(),
    in world: TemplateWorld
  ) throws(TemplateError) -> String {
    var run = TemplateRun(
      templates: templates,
      account: TemplateAccount(limits: limits, world: world, patterns: patterns)
    )
    defer { run.account.close() }
    do throws(TemplateFault) {
      try run.main(data)
    } catch {
      let phase: TemplateError.Phase = error.failure.isLimit ? .limit : .execution
      throw TemplateError(phase, error.failure.message, at: error.offset, in: text)
    }
    return ByteString(run.out).repaired
  }

  /// The same over JSON, whose numbers are floats.
  package func execute(
    _ data: JSON,
    limits: TemplateLimits = TemplateLimits(),
    in world: TemplateWorld
  ) throws(TemplateError) -> String {
    try execute(GoValue(data), limits: limits, in: world)
  }
}

extension ByteString {
  /// As text, every byte that is no UTF-8 being U+FFFD of its own.
  var repaired: String {
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    var out: [UInt8] = []
    for (_, rune) in runes { out.append(rune.scalar) }
    return String(decoding: out, as: UTF8.self)
  }
}
