/// The functions that take a predicate (spec section 1.7).
enum ExprPredicates {
  struct Argument {
    var isPredicate = false
    var isOptional = false
  }

  struct Shape {
    let arguments: [Argument]

    init(_ others: Argument...) { arguments = [Argument()] + others }
  }

  private static let predicate = Argument(isPredicate: true)

  static let shapes: [ByteString: Shape] = [
    "all": Shape(predicate), "none": Shape(predicate), "any": Shape(predicate),
    "one": Shape(predicate), "filter": Shape(predicate), "map": Shape(predicate),
    "count": Shape(Argument(isPredicate: true, isOptional: true)),
    "sum": Shape(Argument(isPredicate: true, isOptional: true)),
    "find": Shape(predicate), "findIndex": Shape(predicate), "findLast": Shape(predicate),
    "findLastIndex": Shape(predicate), "groupBy": Shape(predicate),
    "sortBy": Shape(predicate, Argument(isOptional: true)),
    "reduce": Shape(predicate, Argument(isOptional: true)),
  ]

  static func code(
    _ name: ByteString,
    _ arguments: [ExprCode],
    _ offset: Int
  ) throws(ExprFault) -> ExprCode {
    guard let list = arguments.first else {
      throw ExprFault("expected arguments for \(name)", at: offset, phase: .parse)
    }
    let element: ExprCode = { (run) throws(ExprFault) in try ExprCompiler.element(run, offset) }
    let body = arguments.count > 1 ? arguments[1] : element
    let loop = Loop(body: body, extra: arguments.count > 2 ? arguments[2] : nil, offset: offset)
    let run = loop.operation(name)
    return { (state) throws(ExprFault) in
      let value = try list(&state)
      let scope = try ExprCompiler.placed(offset) { () throws(ExprFailure) in
        try self.scope(value, &state)
      }
      state.scopes.append(scope)
      let result = try run(&state)
      state.scopes.removeLast()
      return result
    }
  }

  private static func scope(
    _ value: ExprValue,
    _ run: inout ExprRun
  ) throws(ExprFailure) -> ExprRun.Scope {
    try run.work(value.weight)
    switch value.opened {
    case .array(let array): return ExprRun.Scope(items: array.items, count: array.items.count)
    case .string(let text):
      return ExprRun.Scope(items: text.bytes.map { .byte($0) }, count: text.count)
    // A map has a length, but asking for an element of it fails.
    case .map(let map): return ExprRun.Scope(items: [], count: map.values.count)
    default: throw ExprFailure("expected a list, found \(value.typeName)")
    }
  }

  /// What a loop function does with the scope that is open for it.
  private struct Loop: Sendable {
    let body: ExprCode
    let extra: ExprCode?
    let offset: Int

    func operation(_ name: ByteString) -> ExprCode {
      switch name {
      case "all": return deciding(end: false, otherwise: true)
      case "any": return deciding(end: true, otherwise: false)
      case "none":
        let any = deciding(end: true, otherwise: false)
        return { (run) throws(ExprFault) in
          if case .bool(true) = try any(&run) { .bool(false) } else { .bool(true) }
        }
      case "one":
        return { (run) throws(ExprFault) in .bool(try self.matching(&run).count == 1) }
      case "count":
        return { (run) throws(ExprFault) in .int(try self.matching(&run).count) }
      case "filter": return filter
      case "map": return map
      case "find": return finding(isBackwards: false) { (run) in run.scopes.last.map(\.index) }
      case "findLast": return finding(isBackwards: true) { (run) in run.scopes.last.map(\.index) }
      case "findIndex": return finding(isBackwards: false) { _ in nil }
      case "findLastIndex": return finding(isBackwards: true) { _ in nil }
      case "sum": return sum
      case "groupBy": return group
      case "sortBy": return sort
      default: return reduce
      }
    }

    private func placed<Result>(
      _ failing: () throws(ExprFailure) -> Result
    ) throws(ExprFault) -> Result {
      try ExprCompiler.placed(offset, failing)
    }

    /// The body's value for the element at `index`.
    private func value(_ index: Int, _ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      try placed { () throws(ExprFailure) in try run.work(1) }
      run.scopes[run.scopes.count - 1].index = index
      return try body(&run)
    }

    private func holds(_ index: Int, _ run: inout ExprRun) throws(ExprFault) -> Bool {
      let value = try value(index, &run)
      return try placed { () throws(ExprFailure) in try value.boolean() }
    }

    private func count(_ run: ExprRun) -> Int { run.scopes[run.scopes.count - 1].count }

    private func deciding(end: Bool, otherwise: Bool) -> ExprCode {
      { (run) throws(ExprFault) in
        for index in 0..<self.count(run) where try self.holds(index, &run) == end {
          return .bool(end)
        }
        return .bool(otherwise)
      }
    }

    private func matching(_ run: inout ExprRun) throws(ExprFault) -> [Int] {
      var found: [Int] = []
      for index in 0..<count(run) where try holds(index, &run) { found.append(index) }
      return found
    }

    private func filter(_ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      var found: [ExprValue] = []
      for index in 0..<count(run) where try holds(index, &run) {
        found.append(try ExprCompiler.element(run, offset))
      }
      return try list(found, &run)
    }

    private func map(_ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      var found: [ExprValue] = []
      for index in 0..<count(run) { found.append(try value(index, &run)) }
      return try list(found, &run)
    }

    private func list(
      _ items: [ExprValue],
      _ run: inout ExprRun
    ) throws(ExprFault) -> ExprValue {
      try placed { () throws(ExprFailure) in
        try run.grow(items.count)
        return try ExprValue.array(ExprArray(items)).bounded()
      }
    }

    private func finding(
      isBackwards: Bool,
      _ element: @escaping @Sendable (ExprRun) -> Int?
    ) -> ExprCode {
      { (run) throws(ExprFault) in
        let count = self.count(run)
        for step in 0..<count {
          let index = isBackwards ? count - 1 - step : step
          guard try self.holds(index, &run) else { continue }
          return element(run) == nil ? .int(index) : try ExprCompiler.element(run, self.offset)
        }
        return .null
      }
    }

    private func sum(_ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      var total = ExprValue.int(0)
      for index in 0..<count(run) {
        let value = try value(index, &run)
        total = try placed { () throws(ExprFailure) in try ExprArithmetic.add(value, total) }
      }
      return total
    }

    private func group(_ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      var groups: [ExprKey: [ExprValue]] = [:]
      for index in 0..<count(run) {
        let value = try value(index, &run)
        guard let key = ExprKey(value) else {
          throw ExprFault("\(value.typeName) cannot be a key of groupBy", at: offset)
        }
        groups[key, default: []].append(try ExprCompiler.element(run, offset))
      }
      let lists = groups.mapValues { ExprValue.array(ExprArray($0)) }
      return try placed { () throws(ExprFailure) in
        try ExprValue.map(ExprMap(lists, .groups)).bounded()
      }
    }

    private func sort(_ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      let order = try extra?(&run) ?? .string("asc")
      let isDescending = try placed { () throws(ExprFailure) in
        try ExprSorting.isDescending(order)
      }
      var (items, values): ([ExprValue], [ExprValue]) = ([], [])
      for index in 0..<count(run) {
        values.append(try value(index, &run))
        items.append(try ExprCompiler.element(run, offset))
      }
      return try placed { () throws(ExprFailure) in
        try run.grow(items.count)
        return .array(ExprArray(try ExprSorting.sorted(items, by: values, isDescending)))
      }
    }

    private func reduce(_ run: inout ExprRun) throws(ExprFault) -> ExprValue {
      var first = 0
      let start: ExprValue
      if let extra {
        start = try extra(&run)
      } else {
        guard count(run) > 0 else {
          throw ExprFault("reduce of an empty list without an initial value", at: offset)
        }
        start = try ExprCompiler.element(run, offset)
        first = 1
      }
      let place = run.scopes.count - 1
      run.scopes[place].accumulator = start
      for index in first..<max(first, count(run)) {
        run.scopes[place].accumulator = try value(index, &run)
      }
      return run.scopes[place].accumulator
    }
  }
}
