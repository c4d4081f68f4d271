/// From a path's text to its steps. Every part of a path that can begin one is compiled once,
/// however many components lead to it.
struct PathCompiler {
  let text: [UInt8]
  private var starts: [Range<Int>: PathStart] = [:]
  private var steps: [Range<Int>: PathStep] = [:]

  init(_ text: [UInt8]) { self.text = text }

  mutating func start(_ range: Range<Int>) -> PathStart {
    if let known = starts[range] { return known }
    let made = makeStart(range)
    starts[range] = made
    return made
  }

  mutating func step(_ range: Range<Int>) -> PathStep {
    if let known = steps[range] { return known }
    let made = PathStep(member: member(range), element: element(range))
    steps[range] = made
    return made
  }

  private mutating func makeStart(_ range: Range<Int>) -> PathStart {
    var range = range
    if range.count > 1 {
      switch text[range.lowerBound] {
      case 0x40:
        if let (modifier, rest) = modifier(range) {
          return .modifier(modifier, rest: behindSeparator(rest))
        }
      case 0x21:
        if let (value, rest) = literal(range) {
          return .literal(value, rest: behindSeparator(rest))
        }
      case 0x5b, 0x7b:
        let (members, rest) = subpaths(range)
        if let members, rest.isEmpty || isSeparator(text[rest.lowerBound]) {
          return .members(
            members.map { member($0) },
            isObject: text[range.lowerBound] == 0x7b,
            rest: behindSeparator(rest)
          )
        }
        // What is no list of paths is dropped, and the path goes on behind it.
        range = rest
      default: break
      }
    }
    if text[range].starts(with: "..".utf8) {
      return .lines(element(range.lowerBound + 2..<range.upperBound))
    }
    return .step(step(range))
  }

  private func isSeparator(_ byte: UInt8) -> Bool { byte == 0x2e || byte == 0x7c }

  /// What follows a modifier, a literal or a list; anything but a separator ends the path.
  private mutating func behindSeparator(_ rest: Range<Int>) -> PathStart? {
    guard let first = text[rest].first, isSeparator(first) else { return nil }
    return start(rest.lowerBound + 1..<rest.upperBound)
  }

  private mutating func member(_ part: (name: Range<Int>?, path: Range<Int>)) -> PathMember {
    var key: [UInt8] = []
    if let name = part.name, !name.isEmpty {
      if text[name.lowerBound] == 0x22, isJSON(text[name]) {
        key = Array(text[name])
      } else {
        appendASCIISafe(text[name], to: &key)
      }
    } else {
      let last = lastComponent(part.path)
      let isSimple = text[last].allSatisfy { $0 >= 0x20 && !"[]{}()#|!".utf8.contains($0) }
      appendASCIISafe(isSimple ? text[last] : Array("_".utf8)[...], to: &key)
    }
    return PathMember(key: key, path: start(part.path))
  }

  private func lastComponent(_ range: Range<Int>) -> Range<Int> {
    for at in range.reversed() where isSeparator(text[at]) {
      if at > range.lowerBound, text[at - 1] == 0x5c { continue }
      return at + 1..<range.upperBound
    }
    return range
  }

  // MARK: Components

  private mutating func member(_ range: Range<Int>) -> MemberStep {
    var name: [UInt8] = []
    var isWild = false
    var at = range.lowerBound
    while at < range.upperBound {
      let byte = text[at]
      switch byte {
      case 0x7c, 0x2e:
        let (next, pipe) = follow(at, range.upperBound, mayPipe: true)
        return MemberStep(name: name, isWild: isWild, next: next, pipe: pipe)
      case 0x5c:
        name += text[range].dropFirst(at + 1 - range.lowerBound).prefix(1)
        at += 2
        continue
      case 0x2a, 0x3f: isWild = true
      default: break
      }
      name.append(byte)
      at += 1
    }
    return MemberStep(name: name, isWild: isWild, next: nil, pipe: nil)
  }

  /// What stands behind the separator at `at`: the next component, or a path of its own.
  private mutating func follow(
    _ at: Int,
    _ end: Int,
    mayPipe: Bool
  ) -> (next: PathStep?, pipe: PathStart?) {
    let rest = at + 1..<end
    if text[at] == 0x7c || (mayPipe && beginsAnew(rest)) { return (nil, start(rest)) }
    return (step(rest), nil)
  }

  /// Whether a modifier or a list of paths follows a dot.
  private func beginsAnew(_ rest: Range<Int>) -> Bool {
    switch text[rest].first {
    case 0x5b, 0x7b: return true
    case 0x40:
      let name = text[rest].dropFirst().prefix { !isSeparator($0) && $0 != 0x3a }
      return Modifier.names.contains(String(decoding: name, as: UTF8.self))
    default: return false
    }
  }

  private mutating func element(_ range: Range<Int>) -> ElementStep {
    var at = range.lowerBound
    var hasHash = false
    var query: QueryText?
    var isQuery = false
    scan: while at < range.upperBound {
      switch text[at] {
      case 0x7c, 0x2e: break scan
      case 0x23:
        hasHash = true
        if at == range.lowerBound, at + 1 < range.upperBound {
          if text[at + 1] == 0x2e { return each(range) }
          if text[at + 1] == 0x5b || text[at + 1] == 0x28 {
            isQuery = true
            query = self.query(range)
            // A query without an end takes all that is left.
            at = query?.end ?? range.upperBound
            continue
          }
        }
      default: break
      }
      at += 1
    }
    var next: PathStep?
    var pipe: PathStart?
    if at < range.upperBound, isQuery, text[at] == 0x2e {
      return ElementStep(
        selection: .query(makeQuery(query, at + 1..<range.upperBound)),
        next: nil,
        pipe: nil
      )
    }
    if at < range.upperBound { (next, pipe) = follow(at, range.upperBound, mayPipe: !hasHash) }
    let selection: ElementStep.Selection
    if isQuery {
      selection = .query(makeQuery(query, nil))
    } else if hasHash {
      selection = at - range.lowerBound == 1 ? .count : .index(-1)
    } else {
      selection = .index(index(text[range.lowerBound..<at]))
    }
    return ElementStep(selection: selection, next: next, pipe: pipe)
  }

  /// Digits only; what overflows wraps, as in the original.
  private func index(_ digits: ArraySlice<UInt8>) -> Int {
    guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return -1 }
    return Int(truncatingIfNeeded: digits.reduce(0 as UInt64) { $0 &* 10 &+ UInt64($1 - 0x30) })
  }

  /// `#.rest`: the rest of every element, and a pipe behind it for the array of them.
  private mutating func each(_ range: Range<Int>) -> ElementStep {
    let (left, right) = splitAtPipe(range.lowerBound + 2..<range.upperBound)
    return ElementStep(
      selection: .each(start(left), pipe: right.map { start($0) }),
      next: nil,
      pipe: nil
    )
  }

  private mutating func makeQuery(_ query: QueryText?, _ rest: Range<Int>?) -> PathQuery {
    let split = rest.map { splitAtPipe($0) }
    let path = query?.path ?? 0..<0
    let value = query?.value ?? []
    var truth: PathQuery.Truth?
    if value.first == 0x7e {
      switch String(decoding: value.dropFirst(), as: UTF8.self) {
      case "*": truth = .exists
      case "null": truth = .null
      case "true": truth = .true
      case "false": truth = .false
      default: truth = .unknown
      }
    }
    return PathQuery(
      isAll: query?.isAll ?? false,
      path: path.isEmpty ? nil : start(path),
      pathInContainer: start(path),
      comparison: query?.comparison ?? .exists,
      value: value,
      number: GoFloat(value).value,
      truth: truth,
      rest: split.map { start($0.left) },
      pipe: split?.right.map { start($0) }
    )
  }
}
