extension Sprig {
  private typealias Make = TemplateFunctions
  private typealias ListBody =
    @Sendable ([GoValue], GoList, inout TemplateAccount) throws(TemplateFailure) -> GoValue

  static let lists: [TemplateFunction] =
    [
      Make.make("list", rest: .any) { arguments, _ in .list(GoList(arguments)) },
      Make.make("tuple", rest: .any) { arguments, _ in .list(GoList(arguments)) },
      Make.make("sortAlpha", .any) { (arguments, account) throws(TemplateFailure) in
        guard case .list = arguments[0] else {
          return .strings([try GoCast.text(arguments[0], account)])
        }
        return .strings(try GoCast.texts(arguments[0], account).sorted())
      },
      Make.make("concat", rest: .any) { (arguments, account) throws(TemplateFailure) in
        var items: [GoValue] = []
        for value in arguments {
          guard case .list(let list) = value else {
            throw TemplateFailure("Cannot concat type \(value.kindName) as list")
          }
          try account.grow(16 * list.items.count)
          items += list.items
        }
        return .list(GoList(items, isNil: items.isEmpty))
      },
      Make.make("until", .int) { (arguments, account) throws(TemplateFailure) in
        let count = arguments[0].number
        return try integers(0, count, count < 0 ? -1 : 1, &account)
      },
      Make.make("untilStep", .int, .int, .int) { (arguments, account) throws(TemplateFailure) in
        try integers(arguments[0].number, arguments[1].number, arguments[2].number, &account)
      },
      Make.make("has", .any, .any) { (arguments, account) throws(TemplateFailure) in
        try has(arguments, &account)
      },
      Make.make("mustHas", .any, .any) { (arguments, account) throws(TemplateFailure) in
        try has(arguments, &account)
      },
    ]
    + onLists.flatMap { $0 }

  /// A function under its names that takes a list at one place and refuses anything else.
  private static func onList(
    _ names: [String],
    _ verb: String,
    _ parameters: [TemplateFunction.Parameter],
    rest: TemplateFunction.Parameter? = nil,
    at place: Int = 0,
    _ body: @escaping ListBody
  ) -> [TemplateFunction] {
    names.map { name in
      TemplateFunction(name: name, parameters: parameters, rest: rest) {
        (arguments, account) throws(TemplateFailure) in
        guard case .list(let list) = arguments[place] else {
          throw TemplateFailure("Cannot \(verb) type \(arguments[place].kindName)")
        }
        try account.work(list.items.count)
        return try body(arguments, list, &account)
      }
    }
  }

  private static let onLists: [[TemplateFunction]] = [
    onList(["append", "push", "mustAppend", "mustPush"], "push on", [.any, .any]) {
      arguments,
      list,
      _ in .list(GoList(list.items + [arguments[1]]))
    },
    onList(["prepend", "mustPrepend"], "prepend on", [.any, .any]) { arguments, list, _ in
      .list(GoList([arguments[1]] + list.items))
    },
    onList(["first", "mustFirst"], "find first on", [.any]) { _, list, _ in
      list.items.first ?? .null
    },
    onList(["last", "mustLast"], "find last on", [.any]) { _, list, _ in
      list.items.last ?? .null
    },
    onList(["rest", "mustRest"], "find rest on", [.any]) { _, list, _ in
      .list(list.items.isEmpty ? .none : GoList(Array(list.items.dropFirst())))
    },
    onList(["initial", "mustInitial"], "find initial on", [.any]) { _, list, _ in
      .list(list.items.isEmpty ? .none : GoList(Array(list.items.dropLast())))
    },
    onList(["reverse", "mustReverse"], "find reverse on", [.any]) { _, list, _ in
      .list(GoList(list.items.reversed()))
    },
    onList(["compact", "mustCompact"], "compact on", [.any]) { _, list, _ in
      .list(GoList(list.items.filter(\.isTrue)))
    },
    onList(["uniq", "mustUniq"], "find uniq on", [.any]) {
      (_, list, account) throws(TemplateFailure) in
      var found: [GoValue] = []
      for item in list.items where !(try contains(found, item, &account)) { found.append(item) }
      return .list(GoList(found))
    },
    onList(["without", "mustWithout"], "find without on", [.any], rest: .any) {
      (arguments, list, account) throws(TemplateFailure) in
      let omitted = Array(arguments.dropFirst())
      var kept: [GoValue] = []
      for item in list.items where !(try contains(omitted, item, &account)) { kept.append(item) }
      return .list(GoList(kept))
    },
    onList(["chunk", "mustChunk"], "chunk", [.int, .any], at: 1) {
      (arguments, list, _) throws(TemplateFailure) in
      let size = arguments[0].number
      if size <= 0 {
        // As many parts as the original counts; it can fill none.
        let count = (Double(list.items.count - 1) / Double(size)).rounded(.down) + 1
        guard count == 0 else { throw TemplateFailure("makeslice: len out of range") }
        return .list(GoList([], .lists))
      }
      let parts = stride(from: 0, to: list.items.count, by: size).map { start in
        let end = start + min(size, list.items.count - start)
        return GoValue.list(GoList(Array(list.items[start..<end])))
      }
      return .list(GoList(parts, .lists))
    },
    onList(["slice", "mustSlice"], "slice", [.any], rest: .any) {
      (arguments, list, _) throws(TemplateFailure) in
      if list.items.isEmpty { return .null }
      let start = arguments.count > 1 ? GoCast.integer(arguments[1]) : 0
      let end = arguments.count > 2 ? GoCast.integer(arguments[2]) : list.items.count
      guard start >= 0, start <= end, end <= list.items.count else {
        throw TemplateFailure("reflect.Value.Slice: slice index out of bounds")
      }
      return .list(GoList(Array(list.items[start..<end]), list.element))
    },
  ]

  private static func contains(
    _ items: [GoValue],
    _ wanted: GoValue,
    _ account: inout TemplateAccount
  ) throws(TemplateFailure) -> Bool {
    for item in items where try GoEquality.isDeepEqual(wanted, item, &account) { return true }
    return false
  }

  private static func has(
    _ arguments: [GoValue],
    _ account: inout TemplateAccount
  ) throws(TemplateFailure) -> GoValue {
    if arguments[1].isNil { return .bool(false) }
    guard case .list(let list) = arguments[1] else {
      throw TemplateFailure("Cannot find has on type \(arguments[1].kindName)")
    }
    return .bool(try contains(list.items, arguments[0], &account))
  }

  static func integers(
    _ start: Int,
    _ stop: Int,
    _ step: Int,
    _ account: inout TemplateAccount
  ) throws(TemplateFailure) -> GoValue {
    guard step != 0, (stop < start) == (step < 0) else { return .list(GoList([], .int)) }
    var items: [GoValue] = []
    var value = start
    while step > 0 ? value < stop : value > stop {
      if items.count.isMultiple(of: 1024) {
        try account.work(1024)
        try account.grow(16 * 1024)
      }
      items.append(.int(value))
      let (next, overflow) = value.addingReportingOverflow(step)
      if overflow { break }
      value = next
    }
    return .list(GoList(items, .int))
  }
}

/// `reflect.DeepEqual`.
enum GoEquality {
  static func isDeepEqual(
    _ a: GoValue,
    _ b: GoValue,
    _ account: inout TemplateAccount,
    depth: Int = 0
  ) throws(TemplateFailure) -> Bool {
    try account.work()
    if depth > GoPrinter.depthMax { throw TemplateFailure("nested too deep", isLimit: true) }
    switch (a, b) {
    case (.absent, _), (.null, _): return b.isNil
    case (.bool(let a), .bool(let b)): return a == b
    case (.int(let a), .int(let b)), (.int64(let a), .int64(let b)),
      (.duration(let a), .duration(let b)), (.month(let a), .month(let b)),
      (.weekday(let a), .weekday(let b)):
      return a == b
    case (.byte(let a), .byte(let b)): return a == b
    case (.uint64(let a), .uint64(let b)): return a == b
    case (.float(let a), .float(let b)): return a == b
    case (.complex(let a, let b), .complex(let c, let d)): return a == c && b == d
    case (.string(let a), .string(let b)): return a == b
    case (.time(let a), .time(let b)): return GoTime.isSame(a, b) && a.zoneName == b.zoneName
    case (.version(let a), .version(let b)): return a.original == b.original
    case (.list(let a), .list(let b)):
      guard a.element == b.element, a.isNil == b.isNil, a.items.count == b.items.count else {
        return false
      }
      for (one, other) in zip(a.items, b.items) {
        guard try isDeepEqual(one, other, &account, depth: depth + 1) else { return false }
      }
      return true
    case (.map(let a), .map(let b)):
      guard a !== b else { return true }
      guard a.holdsStrings == b.holdsStrings, a.isNil == b.isNil, a.count == b.count else {
        return false
      }
      for (key, value) in a.sorted {
        guard let other = b[key],
          try isDeepEqual(value, other, &account, depth: depth + 1)
        else { return false }
      }
      return true
    default: return false
    }
  }
}
