/// Where an expression finds what is not its own.
package protocol ExprNames: Sendable {
  /// The value of a name; nil of the language for what nobody defined.
  func value(_ name: ByteString) -> ExprValue
  /// All names (`$env`).
  var all: ExprMap { get }
}

extension ExprMap: ExprNames {
  package func value(_ name: ByteString) -> ExprValue { values[.string(name)] ?? .null }
  package var all: ExprMap { self }
}

/// One evaluation: its variables, and what it may still use.
package struct ExprRun {
  struct Scope {
    let items: [ExprValue]
    /// More than the items of a map, which has a length but no elements.
    let count: Int
    var index = 0
    var accumulator = ExprValue.null
  }

  let names: any ExprNames
  package let world: TemplateWorld
  /// As release 1.15.5 of the language: nil is no text, and lists are equal only if the types of
  /// their elements are.
  let isStrict: Bool
  var variables: [ExprValue]
  var scopes: [Scope] = []
  /// An optional member found nil; its chain answers nil.
  var isBroken = false
  private var elements = 0
  private var text = 0
  private var done = 0

  init(names: any ExprNames, world: TemplateWorld, variables: Int, isStrict: Bool) {
    self.names = names
    self.world = world
    self.isStrict = isStrict
    self.variables = Array(repeating: .null, count: variables)
  }

  /// Counts elements that are made.
  mutating func grow(_ count: Int) throws(ExprFailure) {
    elements += count
    if elements >= ExprLimits.elements { throw ExprFailure("memory budget exceeded") }
  }

  /// Counts bytes of text that are made.
  mutating func write(_ count: Int) throws(ExprFailure) {
    text += count
    if text > ExprLimits.textBytes { throw ExprFailure("memory budget exceeded") }
  }

  mutating func work(_ amount: Int) throws(ExprFailure) {
    done &+= amount
    if done > ExprLimits.work || done < 0 { throw ExprFailure("the evaluation takes too long") }
  }

  /// Whether an operator on texts has a nil, which makes it false.
  /// - Throws: where nil is no text.
  func isWithoutText(
    _ a: ExprValue,
    _ b: ExprValue = .bool(true)
  ) throws(ExprFailure) -> Bool {
    guard a.isNil || b.isNil else { return false }
    if isStrict { throw ExprFailure("nil is no text") }
    return true
  }

  /// A time zone by its name.
  func zone(_ name: ByteString) throws(ExprFailure) -> GoZone {
    let text = name.description
    if text.isEmpty || text == "UTC" || text == "Local" { return .utc }
    let isName = text.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf)
        || [0x2f, 0x2d, 0x2b, 0x5f].contains(byte)
    }
    guard isName, !text.hasPrefix("/"), let file = world.zoneFile(text),
      let zone = GoZone(name: text, file: file)
    else { throw ExprFailure("unknown time zone \(text)") }
    return zone
  }
}
