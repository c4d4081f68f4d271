/// What a search came to: bytes, and where they stand in the text that was searched.
struct Found {
  /// Empty: nothing was found.
  var raw: ArraySlice<UInt8>
  /// 0 where the bytes are no part of the text, which is also what the text itself has.
  var place = 0
  /// For an array put together from parts of the text: where its elements stand.
  var places: [Int]?

  static let nothing = Found(raw: [])

  var value: JSONValue? { raw.isEmpty ? nil : JSONValue(raw: raw) }

  /// Searches this value; places count from where it stands itself.
  func found(_ path: PathStart, _ budget: inout Int) -> Found {
    var result = PathSearch.run(path, raw, &budget)
    if let inner = result.places {
      result.places = inner.map { $0 + place }
    } else {
      result.place += place
    }
    return result
  }
}

/// One walk of a compiled path over a text, which need not be JSON. Only containers are entered;
/// a key that matches and leads nowhere does not end the walk.
struct PathSearch {
  private let json: ArraySlice<UInt8>
  private var found = Found.nothing
  /// The pipe of the component that was reached last.
  private var pipe: PathStart?
  /// Bytes that results may still be made of; a path can ask for exponentially many.
  private var budget: Int

  private init(_ json: ArraySlice<UInt8>, _ budget: Int) {
    self.json = json
    self.budget = budget
  }

  static func run(
    _ start: PathStart,
    _ json: ArraySlice<UInt8>,
    _ budget: inout Int
  ) -> Found {
    switch start {
    case .modifier(let modifier, let rest):
      return resume(modifier.applied(to: json, &budget), rest, &budget)
    case .literal(let value, let rest): return resume(value[...], rest, &budget)
    case .members(let members, let isObject, let rest):
      let made = assemble(members, isObject, json, &budget)
      guard let rest else { return Found(raw: made) }
      var result = run(rest, made, &budget)
      result.place = 0
      return result
    case .lines(let step):
      var search = PathSearch(json, budget)
      _ = search.array(json.startIndex, step)
      return search.finish(&budget)
    case .step(let step):
      var search = PathSearch(json, budget)
      if let at = json.firstIndex(where: { $0 == 0x7b || $0 == 0x5b }) {
        _ = search.container(at, step)
      }
      return search.finish(&budget)
    }
  }

  /// Goes on behind a modifier or a literal.
  private static func resume(
    _ text: ArraySlice<UInt8>,
    _ rest: PathStart?,
    _ budget: inout Int
  ) -> Found {
    guard let rest else {
      let raw = text.firstValue
      return Found(raw: raw, place: raw.isEmpty ? 0 : raw.startIndex - text.startIndex)
    }
    return Found(raw: run(rest, text, &budget).raw)
  }

  private static func assemble(
    _ members: [PathMember],
    _ isObject: Bool,
    _ json: ArraySlice<UInt8>,
    _ budget: inout Int
  ) -> ArraySlice<UInt8> {
    var out: [UInt8] = [isObject ? 0x7b : 0x5b]
    for member in members {
      let part = run(member.path, json, &budget).raw
      if part.isEmpty { continue }
      budget -= part.count + member.key.count + 2
      if budget < 0 { return [] }
      if out.count > 1 { out.append(0x2c) }
      if isObject {
        out += member.key
        out.append(0x3a)
      }
      out += part
    }
    out.append(isObject ? 0x7d : 0x5d)
    return out[...]
  }

  private mutating func finish(_ remaining: inout Int) -> Found {
    remaining = budget
    if let pipe {
      var result = PathSearch.run(pipe, found.raw, &remaining)
      result.place = 0
      return result
    }
    found.place = offset(of: found.raw, in: json)
    return found
  }

  /// - Returns: where the walk goes on, and whether it is over.
  private mutating func container(_ at: Int, _ step: PathStep) -> (end: Int, isHit: Bool) {
    json[at] == 0x7b ? object(at + 1, step.member) : array(at + 1, step.element)
  }

  private mutating func object(_ start: Int, _ step: MemberStep) -> (end: Int, isHit: Bool) {
    if let pipe = step.pipe { self.pipe = pipe }
    let end = json.endIndex
    var at = start
    while true {
      while at < end, json[at] != 0x22 {
        if json[at] == 0x7d { return (at + 1, false) }
        at += 1
      }
      guard at < end, let keyEnd = json.stringEnd(at + 1) else { return (end, false) }
      let isMatch = step.matches(json[at + 1..<keyEnd - 1])
      at = keyEnd
      while at < end, json.valueStart(at) == nil { at += 1 }
      guard at < end, let kind = json.valueStart(at) else { return (end, false) }
      if isMatch, let next = step.next, kind == .container {
        let (stop, isHit) = container(at, next)
        if isHit { return (stop, true) }
        at = stop
        continue
      }
      guard let stop = json.valueEnd(at, kind) else { return (end, false) }
      if isMatch, step.next == nil {
        found = Found(raw: json.upTo(stop)[at...])
        return (stop, true)
      }
      at = stop
    }
  }

  private mutating func array(_ start: Int, _ step: ElementStep) -> (end: Int, isHit: Bool) {
    if let pipe = step.pipe { self.pipe = pipe }
    let end = json.endIndex
    var at = start
    var count = 0
    var starts: [Int] = []
    var matches = Matches()
    while at <= end {
      if case .each = step.selection { starts.append(at) }
      while at < end, json[at] != 0x5d, json.valueStart(at) == nil { at += 1 }
      guard at < end, let kind = json.valueStart(at) else {
        return (at + 1, close(step.selection, count, starts, matches))
      }
      var isWanted = false
      if case .index(count) = step.selection { isWanted = true }
      count += 1
      if isWanted, let next = step.next, kind == .container {
        let (stop, isHit) = container(at, next)
        if isHit { return (stop, true) }
        at = stop
        continue
      }
      guard let stop = json.valueEnd(at, kind) else { return (end, false) }
      let element = json.upTo(stop)[at...]
      if case .query(let query) = step.selection {
        if ask(query, element, kind, &matches) { return (stop, true) }
      } else if isWanted, step.next == nil {
        found = Found(raw: element)
        return (stop, true)
      }
      at = stop
    }
    return (at, false)
  }

  /// What a query for all matches has gathered.
  private struct Matches {
    var out: [UInt8] = []
    var places: [Int] = []
  }

  /// - Returns: whether the walk is over.
  private mutating func ask(
    _ query: PathQuery,
    _ element: ArraySlice<UInt8>,
    _ kind: ValueStart,
    _ matches: inout Matches
  ) -> Bool {
    if query.isAll, matches.out.isEmpty { matches.out.append(0x5b) }
    let asked: JSONValue?
    if kind == .container {
      asked = PathSearch.run(query.pathInContainer, element, &budget).value
    } else {
      guard query.path == nil else { return false }
      asked = JSONValue(raw: element)
    }
    guard query.matches(asked) else { return false }
    var result = Found(raw: element)
    if let rest = query.rest {
      if let pipe = query.pipe { self.pipe = pipe }
      result = PathSearch.run(rest, element, &budget)
    }
    guard query.isAll else {
      found = result
      return true
    }
    budget -= result.raw.count + 1
    if result.raw.isEmpty || budget < 0 { return false }
    if matches.out.count > 1 { matches.out.append(0x2c) }
    matches.out += result.raw
    matches.places.append(result.place + element.startIndex - json.startIndex)
    return false
  }

  /// At the end of an array.
  /// - Returns: whether the walk is over.
  private mutating func close(
    _ selection: ElementStep.Selection,
    _ count: Int,
    _ starts: [Int],
    _ matches: Matches
  ) -> Bool {
    switch selection {
    case .count:
      found = Found(raw: Array(String(count).utf8)[...])
      return true
    case .each(let path, let pipe):
      if let pipe { self.pipe = pipe }
      found = each(path, starts)
      return true
    case .query(let query) where found.raw.isEmpty && query.isAll:
      found =
        matches.out.isEmpty
        ? Found(raw: Array("[]".utf8)[...])
        : Found(
          raw: (matches.out + [0x5d])[...],
          places: matches.places.isEmpty ? nil : matches.places
        )
      return false
    case .query, .index: return false
    }
  }

  private mutating func each(_ path: PathStart, _ starts: [Int]) -> Found {
    var out: [UInt8] = [0x5b]
    var places: [Int] = []
    for start in starts {
      var at = start
      while at < json.endIndex, isSpace(json[at]) { at += 1 }
      guard at < json.endIndex, json[at] != 0x5d, let range = json.nextValue(at) else { continue }
      let isContainer = json[range.lowerBound] == 0x7b || json[range.lowerBound] == 0x5b
      let element = Found(
        raw: json[range],
        place: isContainer ? range.lowerBound - json.startIndex : 0
      )
      let result = element.found(path, &budget)
      budget -= result.raw.count + 1
      if result.raw.isEmpty || budget < 0 { continue }
      if out.count > 1 { out.append(0x2c) }
      out += result.raw
      places.append(result.place)
    }
    out.append(0x5d)
    return Found(raw: out[...], places: places)
  }
}

/// Where `part` begins in `whole`; 0 where it is no part of it.
private func offset(of part: ArraySlice<UInt8>, in whole: ArraySlice<UInt8>) -> Int {
  if part.isEmpty { return 0 }
  let distance = unsafe whole.withUnsafeBufferPointer { whole in
    unsafe part.withUnsafeBufferPointer { part in
      Int(bitPattern: part.baseAddress) - Int(bitPattern: whole.baseAddress)
    }
  }
  return (0..<whole.count).contains(distance) ? distance : 0
}
