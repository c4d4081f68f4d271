/// What stopped an execution, and at which byte of the template.
struct TemplateFault: Error {
  let failure: TemplateFailure
  let offset: Int
}

/// One execution of a template.
struct TemplateRun {
  let templates: [ByteString: [TemplateNode]]
  var account: TemplateAccount
  private(set) var out: [UInt8] = []
  private var variables: [(name: ByteString, value: GoValue)] = []
  private var depth = 0

  /// How a list of nodes ended.
  private enum Flow { case through, breakLoop, continueLoop }

  init(templates: [ByteString: [TemplateNode]], account: TemplateAccount) {
    self.templates = templates
    self.account = account
  }

  /// Gives a failure its place.
  func located<T>(
    _ offset: Int,
    _ body: () throws(TemplateFailure) -> T
  ) throws(TemplateFault) -> T {
    do throws(TemplateFailure) { return try body() } catch {
      throw TemplateFault(failure: error, offset: offset)
    }
  }

  mutating func main(_ data: GoValue) throws(TemplateFault) {
    let data = data.isNil ? GoValue.absent : data
    if case .map(let map) = data { try count(.map(map), 0) }
    variables = [("$", data)]
    _ = try walk(templates[TemplateParser.mainName] ?? [], data)
  }

  mutating func step(_ offset: Int) throws(TemplateFault) {
    do throws(TemplateFailure) { try account.work() } catch {
      throw TemplateFault(failure: error, offset: offset)
    }
  }

  mutating func count(_ value: GoValue, _ offset: Int) throws(TemplateFault) {
    do throws(TemplateFailure) { try account.count(value) } catch {
      throw TemplateFault(failure: error, offset: offset)
    }
  }

  mutating func enter(_ offset: Int) throws(TemplateFault) {
    depth += 1
    if depth > account.limits.depth {
      let failure = TemplateFailure("exceeded maximum template depth", isLimit: true)
      throw TemplateFault(failure: failure, offset: offset)
    }
  }

  mutating func leave() { depth -= 1 }

  private mutating func write(_ bytes: [UInt8], _ offset: Int) throws(TemplateFault) {
    guard out.count + bytes.count <= account.limits.output else {
      throw TemplateFault(failure: GoPrinter.tooLong, offset: offset)
    }
    out += bytes
  }

  private mutating func walk(_ nodes: [TemplateNode], _ dot: GoValue) throws(TemplateFault) -> Flow
  {
    for node in nodes {
      switch node {
      case .text(let text): try write(text, 0)
      case .action(let pipeline):
        let value = try evaluate(pipeline, dot)
        if pipeline.variables.isEmpty { try print(value, pipeline.offset) }
      case .branch(let branch):
        let flow = try walk(branch, dot)
        if flow != .through { return flow }
      case .call(let name, let pipeline, let offset): try call(name, pipeline, offset, dot)
      case .breakLoop: return .breakLoop
      case .continueLoop: return .continueLoop
      }
    }
    return .through
  }

  private mutating func print(_ value: GoValue, _ offset: Int) throws(TemplateFault) {
    switch value {
    case .absent: try write(Array("<no value>".utf8), offset)
    case .string(let text):
      guard out.count + text.count <= account.limits.output else {
        throw TemplateFault(failure: GoPrinter.tooLong, offset: offset)
      }
      out += text.bytes
    default:
      let room = account.limits.output - out.count
      let text = try located(offset) { () throws(TemplateFailure) in
        var printer = GoPrinter(limit: room)
        try printer.value(value)
        return printer.out
      }
      out += text
    }
  }

  private mutating func call(
    _ name: ByteString,
    _ pipeline: TemplatePipeline?,
    _ offset: Int,
    _ dot: GoValue
  ) throws(TemplateFault) {
    guard let body = templates[name] else {
      let failure = TemplateFailure("template \"\(name)\" not defined")
      throw TemplateFault(failure: failure, offset: offset)
    }
    try step(offset)
    try enter(offset)
    let dot = try pipeline.map { (pipeline) throws(TemplateFault) in
      try evaluate(pipeline, dot)
    }
    let outer = variables
    variables = [("$", dot ?? .absent)]
    _ = try walk(body, dot ?? .absent)
    variables = outer
    leave()
  }

  private mutating func walk(_ branch: TemplateBranch, _ dot: GoValue) throws(TemplateFault) -> Flow
  {
    let mark = variables.count
    try enter(branch.pipeline.offset)
    defer {
      leave()
      variables.removeLast(variables.count - mark)
    }
    let value = try evaluate(branch.pipeline, dot)
    switch branch.kind {
    case .if: return try walk(value.isTrue ? branch.body : branch.otherwise, dot)
    case .with:
      return value.isTrue ? try walk(branch.body, value) : try walk(branch.otherwise, dot)
    case .range:
      let isEmpty = try loop(branch, value)
      return isEmpty ? try walk(branch.otherwise, dot) : .through
    }
  }

  /// Walks the body for every element; true where there was none.
  private mutating func loop(
    _ branch: TemplateBranch,
    _ value: GoValue
  ) throws(TemplateFault) -> Bool {
    switch value {
    case .list(let list):
      for (place, item) in list.items.enumerated() {
        if try iterate(branch, .int(place), item) == .breakLoop { break }
      }
      return list.items.isEmpty
    case .map(let map):
      let entries = map.sorted
      // They were sorted, even if the loop ends with the first.
      try located(branch.pipeline.offset) { () throws(TemplateFailure) in
        try account.work(entries.count / 8)
      }
      for (key, item) in entries {
        if try iterate(branch, .string(key), item) == .breakLoop { break }
      }
      return entries.isEmpty
    case .int(let count), .int64(let count), .duration(let count), .month(let count),
      .weekday(let count):
      try located(branch.pipeline.offset) { () throws(TemplateFailure) in
        if branch.pipeline.variables.count > 1 {
          throw TemplateFailure("can't use \(count) to iterate over more than one variable")
        }
      }
      var place = 0
      while place < count {
        let item = GoValue.integer(place, like: value)
        if try iterate(branch, item, item) == .breakLoop { break }
        place += 1
      }
      return count <= 0
    case .absent, .null: return true
    default:
      let failure = TemplateFailure("range can't iterate over a value of type \(value.typeName)")
      throw TemplateFault(failure: failure, offset: branch.pipeline.offset)
    }
  }

  private mutating func iterate(
    _ branch: TemplateBranch,
    _ key: GoValue,
    _ item: GoValue
  ) throws(TemplateFault) -> Flow {
    try step(branch.pipeline.offset)
    let names = branch.pipeline.variables
    let isPair = names.count > 1
    if branch.pipeline.isAssignment {
      if isPair { try assign(names[0], key, branch.pipeline.offset) }
      if let last = names.last { try assign(last, item, branch.pipeline.offset) }
    } else if let last = names.last {
      // The pipeline has declared them; the body sees each element in their place.
      let top = variables.count
      if isPair, let first = names.first { variables[top - 2] = (first, key) }
      variables[top - 1] = (last, item)
    }
    let mark = variables.count
    let flow = try walk(branch.body, item)
    variables.removeLast(variables.count - mark)
    return flow
  }

  mutating func declare(_ name: ByteString, _ value: GoValue) { variables.append((name, value)) }

  mutating func assign(
    _ name: ByteString,
    _ value: GoValue,
    _ offset: Int
  ) throws(TemplateFault) {
    guard let place = variables.lastIndex(where: { $0.name == name }) else {
      let failure = TemplateFailure("undefined variable: \(name)")
      throw TemplateFault(failure: failure, offset: offset)
    }
    variables[place].value = value
  }

  func variable(_ name: ByteString, _ offset: Int) throws(TemplateFault) -> GoValue {
    guard let found = variables.last(where: { $0.name == name }) else {
      let failure = TemplateFailure("undefined variable: \(name)")
      throw TemplateFault(failure: failure, offset: offset)
    }
    return found.value
  }
}

extension GoValue {
  /// A number of the type that `range` over `other` counts in.
  fileprivate static func integer(_ value: Int, like other: GoValue) -> GoValue {
    switch other {
    case .int64: .int64(value)
    case .duration: .duration(value)
    case .month: .month(value)
    case .weekday: .weekday(value)
    default: .int(value)
    }
  }
}
