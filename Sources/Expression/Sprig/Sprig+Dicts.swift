extension Sprig {
  private typealias Make = TemplateFunctions

  static let dicts: [TemplateFunction] = [
    Make.make("dict", rest: .any) { (arguments, account) throws(TemplateFailure) in
      var items: [ByteString: GoValue] = [:]
      for place in stride(from: 0, to: arguments.count, by: 2) {
        let key = try GoCast.text(arguments[place], account)
        items[key] = place + 1 < arguments.count ? arguments[place + 1] : .string("")
      }
      return .map(GoMap(items))
    },
    Make.make("get", .dict, .string) { arguments, _ in
      arguments[0].dict[arguments[1].text] ?? .string("")
    },
    Make.make("set", .dict, .string, .any) { (arguments, account) throws(TemplateFailure) in
      guard !arguments[0].dict.isNil else {
        throw TemplateFailure("assignment to entry in nil map")
      }
      try account.grow(arguments[1].text.count + 64)
      arguments[0].dict.set(arguments[1].text, arguments[2])
      return arguments[0]
    },
    Make.make("unset", .dict, .string) { arguments, _ in
      arguments[0].dict.remove(arguments[1].text)
      return arguments[0]
    },
    Make.make("hasKey", .dict, .string) { arguments, _ in
      .bool(arguments[0].dict[arguments[1].text] != nil)
    },
    Make.make("pluck", .string, rest: .dict) { arguments, _ in
      .list(GoList(arguments.dropFirst().compactMap { $0.dict[arguments[0].text] }))
    },
    Make.make("keys", rest: .dict) { arguments, _ in
      .strings(arguments.flatMap(\.dict.keys))
    },
    Make.make("values", .dict) { arguments, _ in
      .list(GoList(arguments[0].dict.sorted.map(\.value)))
    },
    Make.make("pick", .dict, rest: .string) { arguments, _ in
      var items: [ByteString: GoValue] = [:]
      for key in arguments.dropFirst() { items[key.text] = arguments[0].dict[key.text] }
      return .map(GoMap(items))
    },
    Make.make("omit", .dict, rest: .string) { arguments, _ in
      let omitted = Set(arguments.dropFirst().map(\.text))
      let kept = arguments[0].dict.sorted.filter { !omitted.contains($0.key) }
      return .map(GoMap(Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })))
    },
    merge("merge", overwrites: false), merge("mustMerge", overwrites: false),
    merge("mergeOverwrite", overwrites: true), merge("mustMergeOverwrite", overwrites: true),
    deepCopy("deepCopy"), deepCopy("mustDeepCopy"),
    Make.make("dig", rest: .any) { (arguments, _) throws(TemplateFailure) in
      try dig(arguments)
    },
  ]

  private static func deepCopy(_ name: String) -> TemplateFunction {
    Make.make(name, .any) { (arguments, account) throws(TemplateFailure) in
      guard !arguments[0].isNil else { throw TemplateFailure("there is nothing to copy") }
      return try copy(arguments[0], &account, 0)
    }
  }

  private static func merge(_ name: String, overwrites: Bool) -> TemplateFunction {
    Make.make(name, .dict, rest: .dict) { (arguments, account) throws(TemplateFailure) in
      // A nil map cannot be written to; the original makes one.
      let target = arguments[0].dict.isNil ? GoMap([:]) : arguments[0].dict
      for source in arguments.dropFirst() {
        try merge(source.dict, into: target, overwrites, &account, 0)
      }
      return .map(target)
    }
  }

  /// Members of `source` that `target` lacks or has empty; with `overwrites` all of them. Maps
  /// on both sides are merged in place, other values are shared.
  private static func merge(
    _ source: GoMap,
    into target: GoMap,
    _ overwrites: Bool,
    _ account: inout TemplateAccount,
    _ depth: Int
  ) throws(TemplateFailure) {
    if depth > GoPrinter.depthMax { throw TemplateFailure("nested too deep", isLimit: true) }
    if source === target { return }
    for (key, value) in source.sorted {
      try account.work()
      try account.grow(key.count + 64)
      let own = target[key]
      if value.isNil {
        if overwrites { target.set(key, value) }
      } else if case .map(let inner) = value, case .map(let ownInner)? = own, ownInner.count > 0 {
        try merge(inner, into: ownInner, overwrites, &account, depth + 1)
      } else if overwrites || own?.isTrue != true {
        target.set(key, value)
      }
    }
  }

  private static func copy(
    _ value: GoValue,
    _ account: inout TemplateAccount,
    _ depth: Int
  ) throws(TemplateFailure) -> GoValue {
    if depth > GoPrinter.depthMax { throw TemplateFailure("nested too deep", isLimit: true) }
    try account.work()
    switch value {
    case .list(let list):
      try account.grow(16 * list.items.count)
      var items: [GoValue] = []
      for item in list.items { items.append(try copy(item, &account, depth + 1)) }
      return .list(GoList(items, list.element, isNil: list.isNil))
    case .map(let map):
      var items: [ByteString: GoValue] = [:]
      for (key, value) in map.sorted {
        try account.grow(key.count + 64)
        items[key] = try copy(value, &account, depth + 1)
      }
      let copied = GoValue.map(
        GoMap(items, holdsStrings: map.holdsStrings, isNil: map.isNil)
      )
      // Every map is known to the account, so that circles end with the execution.
      try account.count(copied)
      return copied
    default: return value
    }
  }

  private static func dig(_ arguments: [GoValue]) throws(TemplateFailure) -> GoValue {
    guard arguments.count >= 3 else { throw TemplateFailure("dig needs at least three arguments") }
    var step = arguments[arguments.count - 1]
    // Every key must be a string, also those that are not reached.
    var names: [ByteString] = []
    for key in arguments.dropLast(2) {
      guard case .string(let name) = key else {
        throw TemplateFailure("interface conversion: interface {} is \(key.typeName)")
      }
      names.append(name)
    }
    for name in names {
      guard case .map(let map) = step, !map.holdsStrings else {
        throw TemplateFailure("interface conversion: interface {} is \(step.typeName)")
      }
      guard let next = map[name] else { return arguments[arguments.count - 2] }
      step = next
    }
    return step
  }
}
