/// The names an event source's filter sees: the members of the data, with `-` as `_` and names
/// with dots taken apart, and functions of Argo Events.
struct EventSourceNames: ExprNames {
  private enum Source {
    case nothing
    /// An object whose names stand for themselves.
    case object(ExprJSON)
    case renamed([(name: ByteString, value: ExprJSON)])
  }

  private let source: Source

  /// - Parameter object: nil for no names but the functions.
  init(_ object: ExprJSON?) {
    guard let object else {
      source = .nothing
      return
    }
    guard object.hasName(with: (0x2d, 0x2e)) else {
      source = .object(object)
      return
    }
    let renamed = object.members.map { member in
      let bytes = member.name.bytes.map { $0 == 0x2d ? 0x5f : $0 }
      return (name: ByteString(bytes), value: member.value)
    }
    let sorted = renamed.enumerated().sorted { a, b in
      a.element.name == b.element.name ? a.offset < b.offset : a.element.name < b.element.name
    }.map(\.element)
    // `a` gives way to `a.b`.
    source = .renamed(
      sorted.enumerated().filter { place, member in
        place + 1 == sorted.count || !sorted[place + 1].name.hasPrefix(member.name + ".")
      }.map(\.element)
    )
  }

  func value(_ name: ByteString) -> ExprValue {
    // All names of functions are of these lengths.
    if (5...8).contains(name.count), let function = Self.functions[name] { return function }
    switch source {
    case .nothing: return .null
    case .object(let object): return object.member(name) ?? .null
    case .renamed(let members):
      if let exact = members.last(where: { $0.name == name }) { return exact.value.value }
      return Self.nested(members, under: name) ?? .null
    }
  }

  /// The map that names beginning with `name` and a dot make up; nil where none does.
  private static func nested(
    _ members: [(name: ByteString, value: ExprJSON)],
    under name: ByteString
  ) -> ExprValue? {
    let prefix = name + "."
    let inner = members.filter { $0.name.hasPrefix(prefix) }
    guard !inner.isEmpty else { return nil }
    return .map(
      expanded(inner.map { (name: $0.name[prefix.count..<$0.name.count], value: $0.value) })
    )
  }

  private static func expanded(_ members: [(name: ByteString, value: ExprJSON)]) -> ExprMap {
    var values: [ExprKey: ExprValue] = [:]
    for (name, value) in members {
      guard let dot = name.index(of: ".") else {
        values[.string(name)] = value.value
        continue
      }
      let first = name[0..<dot]
      if values[.string(first)] == nil { values[.string(first)] = nested(members, under: first) }
    }
    return ExprMap(values)
  }

  var all: ExprMap {
    let members =
      switch source {
      case .nothing: [(name: ByteString, value: ExprJSON)]()
      case .object(let object): object.members
      case .renamed(let members): members
      }
    var values = Self.expanded(members).values
    for (name, function) in Self.functions { values[.string(name)] = function }
    return ExprMap(values)
  }

  private static let functions: [ByteString: ExprValue] = [
    "asInt": builtin("int"), "asFloat": builtin("float"),
    "toJson": .function(
      ExprFunction { (arguments, run) throws(ExprFailure) in
        try ExprFunctions.count(arguments, 1...1)
        let text = try GoJSON.encode(arguments[0])
        try run.write(text.count)
        return .string(ByteString(text))
      }
    ),
    "jsonpath": .function(
      ExprFunction { (arguments, _) throws(ExprFailure) in
        try ExprFunctions.count(arguments, 2...2)
        let data = try GoJSON.decode(try arguments[0].text())
        return try JSONPathQuery(try arguments[1].text()).value(data)
      }
    ),
    "sprig": .map(SprigForExpr.all),
  ]

  private static func builtin(_ name: ByteString) -> ExprValue {
    .function(
      ExprFunction { (arguments, run) throws(ExprFailure) in
        try ExprFunctions.count(arguments, 1...1)
        guard let call = ExprFunctions.all[name] else { throw ExprFailure("no function \(name)") }
        return try call(arguments, &run)
      }
    )
  }
}
