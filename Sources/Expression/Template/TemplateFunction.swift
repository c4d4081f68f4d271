import Synchronization

/// A function that templates call.
package struct TemplateFunction: Sendable {
  /// The Go type of a parameter.
  enum Parameter: String, Sendable {
    case any = "interface {}"
    case string, int, bool
    case float = "float64"
    case dict = "map[string]interface {}"
    case time = "time.Time"

    var takesNil: Bool { self == .any || self == .dict }
  }

  typealias Body =
    @Sendable (
      [GoValue], inout TemplateAccount
    ) throws(TemplateFailure) -> GoValue

  let name: String
  let parameters: [Parameter]
  /// What further arguments are, where any number may follow.
  let rest: Parameter?
  let body: Body

  /// Whether as many arguments fit.
  func takes(_ count: Int) -> Bool {
    rest == nil ? count == parameters.count : count >= parameters.count
  }

  var countText: String {
    rest == nil ? "\(parameters.count)" : "at least \(parameters.count)"
  }

  func parameter(_ place: Int) -> Parameter {
    place < parameters.count ? parameters[place] : rest ?? .any
  }
}

extension TemplateFunction.Parameter {
  /// The argument as the parameter takes it: nothing is converted but nil.
  func checked(_ value: GoValue) throws(TemplateFailure) -> GoValue {
    switch (self, value) {
    case (.any, .absent): return .null
    case (.any, _): return value
    case (.dict, .absent): return .map(GoMap([:], isNil: true))
    case (.string, .string), (.int, .int), (.bool, .bool), (.float, .float), (.time, .time):
      return value
    case (.dict, .map(let map)) where !map.holdsStrings: return value
    case (_, .absent): throw TemplateFailure("invalid value; expected \(rawValue)")
    default:
      let found = value.isNil ? "interface {}" : value.typeName
      throw TemplateFailure("wrong type for value; expected \(rawValue); got \(found)")
    }
  }
}

/// What one execution may still use, and the world around it.
package struct TemplateAccount {
  let limits: TemplateLimits
  let world: TemplateWorld
  private var steps = 0
  private var memory = 0
  private let patterns: TemplatePatterns
  private var zones: [String: GoZone] = [:]
  private var maps: [GoMap] = []

  package init(limits: TemplateLimits, world: TemplateWorld) {
    self.init(limits: limits, world: world, patterns: TemplatePatterns())
  }

  init(limits: TemplateLimits, world: TemplateWorld, patterns: TemplatePatterns) {
    (self.limits, self.world, self.patterns) = (limits, world, patterns)
  }

  /// Counts steps.
  mutating func work(_ amount: Int = 1) throws(TemplateFailure) {
    steps &+= max(0, amount)
    if steps > limits.steps || steps < 0 {
      throw TemplateFailure("the template takes too many steps", isLimit: true)
    }
  }

  /// Counts what a function is about to look at: it may read long texts and make nothing of them.
  mutating func read(_ values: [GoValue]) throws(TemplateFailure) {
    var steps = 1
    for value in values {
      if case .string(let text) = value { steps += text.count / 64 }
    }
    try work(steps)
  }

  /// Counts bytes of values, before they are made.
  mutating func grow(_ bytes: Int) throws(TemplateFailure) {
    let (sum, overflow) = memory.addingReportingOverflow(max(0, bytes))
    if overflow || sum > limits.memory {
      throw TemplateFailure("the template takes too much memory", isLimit: true)
    }
    memory = sum
  }

  /// What text may still be made.
  var room: Int { limits.memory - memory }

  /// Counts what a function has made.
  mutating func count(_ value: GoValue) throws(TemplateFailure) {
    switch value {
    case .string(let text): try grow(text.count)
    case .list(let list):
      if list.depth > GoPrinter.depthMax {
        throw TemplateFailure("lists are nested too deep", isLimit: true)
      }
      try grow(16 * list.items.count)
    case .map(let map): maps.append(map)
    default: break
    }
  }

  /// A regular expression, compiled once.
  mutating func pattern(_ text: ByteString) throws(TemplateFailure) -> RE2 {
    if let known = patterns.known(text) { return known }
    // Compiling may take as long as reading a long text.
    try work(1000 + text.count)
    do throws(RE2Error) {
      let pattern = try RE2(text.description)
      patterns.keep(pattern, text)
      return pattern
    } catch { throw TemplateFailure(error.description) }
  }

  /// A time zone by its name; nil for an unknown one.
  mutating func zone(_ name: String) -> GoZone? {
    if ["", "UTC", "Local"].contains(name) { return .utc }
    if let known = zones[name] { return known }
    let isName = name.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte & 0xdf)
        || [0x2f, 0x2d, 0x2b, 0x5f].contains(byte)
    }
    guard isName, !name.hasPrefix("/"), let file = world.zoneFile(name),
      let zone = GoZone(name: name, file: file)
    else { return nil }
    zones[name] = zone
    return zone
  }

  /// Ends the circles that maps may have been tied into.
  mutating func close() {
    for map in maps { map.clear() }
    maps = []
  }
}

/// The regular expressions that a template has used: most are the same in every execution.
final class TemplatePatterns: Sendable {
  private let compiled = Mutex<[ByteString: RE2]>([:])

  /// Those made of data would be ever new ones.
  private static let countMax = 50

  func known(_ text: ByteString) -> RE2? { compiled.withLock { $0[text] } }

  func keep(_ pattern: RE2, _ text: ByteString) {
    compiled.withLock { if $0.count < Self.countMax { $0[text] = pattern } }
  }
}
