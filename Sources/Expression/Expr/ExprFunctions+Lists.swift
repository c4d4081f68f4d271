extension ExprFunctions {
  private static func list(
    _ arguments: [ExprValue],
    _ range: ClosedRange<Int>
  ) throws(ExprFailure) -> ExprArray {
    try count(arguments, range)
    let value = arguments[0].opened
    guard case .array(let array) = value else {
      throw ExprFailure("expected a list, found \(value.typeName)")
    }
    return array
  }

  static let lists: [ByteString: Call] = [
    "len": single { (value, _) throws(ExprFailure) in
      switch value.opened {
      case .string(let text): .int(text.runeCount)
      case .array(let array): .int(array.items.count)
      case .map(let map): .int(map.values.count)
      default: throw ExprFailure("invalid argument for len (\(value.typeName))")
      }
    },
    "first": { (arguments, _) in arguments.first.map { fetchOrNil($0, .int(0)) } ?? .null },
    "last": { (arguments, _) in arguments.first.map { fetchOrNil($0, .int(-1)) } ?? .null },
    "get": { (arguments, _) throws(ExprFailure) in
      let (value, key) = (try argument(arguments, 0), try argument(arguments, 1))
      switch value.opened {
      case .null: return .null
      case .array: _ = try key.integer()
      case .string: _ = try key.integer()
      case .map(let map):
        if map.keys == .groups, try !ExprComparison.contains(.map(map), key) { return .null }
        return try ExprComparison.fetch(.map(map), key)
      default: break
      }
      return fetchOrNil(value, key)
    },
    "take": { (arguments, _) throws(ExprFailure) in
      let array = try list(arguments, 2...2)
      let size: Int
      switch arguments[1] {
      case .int(let number), .duration(let number), .month(let number), .weekday(let number):
        size = number
      default: throw ExprFailure("cannot take \(arguments[1].typeName)")
      }
      guard size >= 0 else { throw ExprFailure("cannot take \(size) elements") }
      return .array(ExprArray(Array(array.items.prefix(size)), array.element))
    },
    "reverse": { (arguments, run) throws(ExprFailure) in
      let array = try list(arguments, 1...1)
      try run.grow(array.items.count)
      return .array(ExprArray(array.items.reversed()))
    },
    "uniq": { (arguments, run) throws(ExprFailure) in
      var found: [ExprValue] = []
      for item in try list(arguments, 1...1).items {
        var isKnown = false
        for other in found {
          try run.work(1 + item.weight)
          if ExprComparison.equal(item, other) {
            isKnown = true
            break
          }
        }
        if !isKnown { found.append(item) }
      }
      return .array(ExprArray(found))
    },
    "concat": { (arguments, run) throws(ExprFailure) in
      guard !arguments.isEmpty else { throw ExprFailure("expected at least one list") }
      var all: [ExprValue] = []
      for argument in arguments {
        let items = try list([argument], 1...1).items
        try run.grow(items.count)
        all += items
      }
      return .array(ExprArray(all, isNil: all.isEmpty))
    },
    "flatten": { (arguments, run) throws(ExprFailure) in
      var all: [ExprValue] = []
      try flatten(try list(arguments, 1...1), &all, &run)
      return .array(ExprArray(all))
    },
    "sort": { (arguments, run) throws(ExprFailure) in
      try count(arguments, 1...2)
      var isDescending = false
      if arguments.count == 2 { isDescending = try ExprSorting.isDescending(arguments[1]) }
      guard case .array(let array) = arguments[0].opened,
        [.any, .int, .string].contains(array.element)
      else { return .array(ExprArray([], isNil: true)) }
      try run.grow(array.items.count)
      let sorted = try ExprSorting.sorted(array.items, by: array.items, isDescending)
      return .array(ExprArray(sorted))
    },
  ]

  private static func fetchOrNil(_ value: ExprValue, _ key: ExprValue) -> ExprValue {
    do throws(ExprFailure) { return try ExprComparison.fetch(value, key) } catch { return .null }
  }

  private static func flatten(
    _ array: ExprArray,
    _ all: inout [ExprValue],
    _ run: inout ExprRun
  ) throws(ExprFailure) {
    for item in array.items {
      if case .array(let inner) = item.opened {
        try flatten(inner, &all, &run)
      } else {
        try run.grow(1)
        all.append(item)
      }
    }
  }

  private static func map(_ arguments: [ExprValue]) throws(ExprFailure) -> ExprMap {
    try count(arguments, 1...1)
    guard case .map(let map) = arguments[0].opened else {
      throw ExprFailure("expected a map, found \(arguments[0].typeName)")
    }
    return map
  }

  static let maps: [ByteString: Call] = [
    "keys": { (arguments, _) throws(ExprFailure) in
      .array(ExprArray(try map(arguments).sorted.map(\.key.value)))
    },
    "values": { (arguments, _) throws(ExprFailure) in
      .array(ExprArray(try map(arguments).sorted.map(\.value)))
    },
    "toPairs": { (arguments, _) throws(ExprFailure) in
      let pairs = try map(arguments).sorted.map {
        ExprValue.array(ExprArray([$0.key.value, $0.value], .pair))
      }
      return .array(ExprArray(pairs, .pairs))
    },
    "fromPairs": { (arguments, _) throws(ExprFailure) in
      var values: [ExprKey: ExprValue] = [:]
      for item in try list(arguments, 1...1).items {
        guard case .array(let pair) = item.opened, pair.items.count == 2 else {
          throw ExprFailure("expected pairs, found \(item.typeName)")
        }
        guard let key = ExprKey(pair.items[0]) else {
          throw ExprFailure("\(pair.items[0].typeName) cannot be a key")
        }
        values[key] = pair.items[1]
      }
      return .map(ExprMap(values, .any))
    },
  ]
}

/// Sorting with values that may not be comparable.
enum ExprSorting {
  static func isDescending(_ order: ExprValue) throws(ExprFailure) -> Bool {
    switch try order.text() {
    case "asc": false
    case "desc": true
    case let other: throw ExprFailure("invalid order \(other), expected asc or desc")
    }
  }

  /// `items` in the order of `values`; equal ones keep theirs.
  static func sorted(
    _ items: [ExprValue],
    by values: [ExprValue],
    _ isDescending: Bool
  ) throws(ExprFailure) -> [ExprValue] {
    var failure: ExprFailure?
    let places = values.indices.sorted { a, b in
      do throws(ExprFailure) {
        return try isDescending
          ? ExprArithmetic.less(values[b], values[a]) : ExprArithmetic.less(values[a], values[b])
      } catch {
        failure = error
        return false
      }
    }
    if let failure { throw failure }
    return places.map { items[$0] }
  }
}
