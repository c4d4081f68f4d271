/// A query taken apart; ranges are within the path.
struct QueryText {
  let path: Range<Int>
  let comparison: PathQuery.Comparison
  let value: [UInt8]
  let isAll: Bool
  /// Behind the closing bracket.
  let end: Int
}

extension PathCompiler {
  /// Takes `#(…)` or `#[…]` apart; nil where the bracket is not closed.
  func query(_ range: Range<Int>) -> QueryText? {
    var at = range.lowerBound + 2
    var operatorAt: Int?
    var hasEscapes = false
    var depth = 1
    while at < range.upperBound {
      let byte = text[at]
      if depth == 1, operatorAt == nil, "!=<>%".utf8.contains(byte) {
        operatorAt = at
        at += 1
        continue
      }
      switch byte {
      case 0x5c: at += 1
      case 0x5b, 0x28: depth += 1
      case 0x5d, 0x29: depth -= 1
      case 0x22: at = closingQuote(at, range.upperBound, &hasEscapes)
      default: break
      }
      if depth == 0 { break }
      at += 1
    }
    guard depth == 0 else { return nil }
    let isAll = at + 1 < range.upperBound && text[at + 1] == 0x23
    let path = trimmed(range.lowerBound + 2..<(operatorAt ?? at))
    let (comparison, value) = comparison(operatorAt.map { trimmed($0..<at) } ?? at..<at)
    return QueryText(
      path: path,
      comparison: comparison,
      value: unquoted(value, hasEscapes),
      isAll: isAll,
      end: at + 1
    )
  }

  /// The quote that ends the string opened at `at`, or the end.
  private func closingQuote(_ at: Int, _ end: Int, _ hasEscapes: inout Bool) -> Int {
    var at = at + 1
    while at < end, text[at] != 0x22 {
      if text[at] == 0x5c {
        hasEscapes = true
        at += 1
      }
      at += 1
    }
    return at
  }

  private func trimmed(_ range: Range<Int>) -> Range<Int> {
    let part = text[range].trimmed
    return part.startIndex..<part.endIndex
  }

  private func comparison(_ range: Range<Int>) -> (PathQuery.Comparison, ArraySlice<UInt8>) {
    let part = text[range]
    let known: [(String, PathQuery.Comparison)] = [
      ("!=", .notEqual), ("!%", .unlike), ("<=", .lessOrEqual), (">=", .greaterOrEqual),
      ("==", .equal), ("<", .less), (">", .greater), ("=", .equal), ("%", .like),
    ]
    for (sign, comparison) in known where part.starts(with: sign.utf8) {
      return (comparison, part.dropFirst(sign.utf8.count).trimmed)
    }
    // A lone `!` compares with nothing; before anything else it is part of what is looked for.
    return part.count == 1 ? (.never, part.dropFirst()) : (.exists, part)
  }

  private func unquoted(_ value: ArraySlice<UInt8>, _ hasEscapes: Bool) -> [UInt8] {
    guard value.count >= 2, value.first == 0x22, value.last == 0x22 else { return Array(value) }
    let inner = value.dropFirst().dropLast()
    return hasEscapes ? looselyUnescaped(inner) : Array(inner)
  }

  /// `@name` or `@name:argument` and what is left behind it; nil for an unknown name.
  mutating func modifier(_ range: Range<Int>) -> (Modifier, rest: Range<Int>)? {
    let end = range.upperBound
    let stop =
      text[range].dropFirst().firstIndex { $0 == 0x3a || $0 == 0x7c || $0 == 0x2e } ?? end
    let name = String(decoding: text[range.lowerBound + 1..<stop], as: UTF8.self)
    guard Modifier.names.contains(name) else { return nil }
    guard stop < end, text[stop] == 0x3a else {
      return (modifier(name, stop..<stop), stop..<end)
    }
    let argument = argumentEnd(stop + 1, end)
    return (modifier(name, stop + 1..<argument), argument..<end)
  }

  private func argumentEnd(_ start: Int, _ end: Int) -> Int {
    guard start < end else { return end }
    switch text[start] {
    case 0x7b, 0x5b, 0x22: return text[start..<end].balanced.endIndex
    default: break
    }
    var at = start
    while at < end, text[at] != 0x7c {
      switch text[at] {
      case 0x7b, 0x5b, 0x22, 0x28: at = text[at..<end].balanced.endIndex
      default: at += 1
      }
    }
    return at
  }

  private mutating func modifier(_ name: String, _ argument: Range<Int>) -> Modifier {
    let bytes = text[argument]
    switch name {
    case "pretty": return .pretty(PrettyPrinter.Options(bytes))
    case "ugly": return .ugly
    case "reverse": return .reverse
    case "flatten": return .flatten(deep: option("deep", bytes))
    case "join": return .join(preserve: option("preserve", bytes))
    case "valid": return .valid
    case "keys": return .keys
    case "values": return .values
    case "tostr": return .toString
    case "fromstr": return .fromString
    case "group": return .group
    case "dig": return .dig(start(argument))
    default: return .this
    }
  }

  private func option(_ name: String, _ argument: ArraySlice<UInt8>) -> Bool {
    var isSet = false
    argument.firstValue.eachItem { key, value in
      guard !key.isEmpty, JSONValue(raw: key).string == name else { return }
      isSet = JSONValue(raw: value).bool
    }
    return isSet
  }

  /// `!value` and what is left behind it; nil for anything that is no value.
  func literal(_ range: Range<Int>) -> (value: [UInt8], rest: Range<Int>)? {
    let start = range.lowerBound + 1
    let end = range.upperBound
    switch text[start] {
    case 0x7b, 0x5b, 0x22, 0x2b, 0x2d, 0x30...0x39:
      // A bracket is looked for even behind a number or a string: the rest is part of the value.
      let stop = min(text[start..<end].containerEnd(start + 1), end)
      return (Array(text[start..<stop]), stop..<end)
    default: break
    }
    let stop = text[start..<end].firstIndex { $0 == 0x7c || $0 == 0x2e } ?? end
    switch String(decoding: text[start..<stop], as: UTF8.self).lowercased() {
    case "true", "false", "null", "nan", "inf": return (Array(text[start..<stop]), stop..<end)
    default: return nil
    }
  }

  /// The parts of `[…]` or `{…}` and what is left behind it; nothing where it is not closed.
  func subpaths(
    _ range: Range<Int>
  ) -> (members: [(name: Range<Int>?, path: Range<Int>)]?, rest: Range<Int>) {
    var members: [(name: Range<Int>?, path: Range<Int>)] = []
    var at = range.lowerBound + 1
    var start = at
    var depth = 1
    var colon: Int?
    var hasModifier = false
    func part() -> (name: Range<Int>?, path: Range<Int>) {
      colon.map { (start..<$0, $0 + 1..<at) } ?? (nil, start..<at)
    }
    while at < range.upperBound {
      switch text[at] {
      case 0x5c: at += 1
      case 0x40: if text[at - 1] == 0x2e || text[at - 1] == 0x7c { hasModifier = true }
      case 0x3a: if !hasModifier, colon == nil, depth == 1 { colon = at }
      case 0x2c where depth == 1:
        members.append(part())
        colon = nil
        hasModifier = false
        start = at + 1
      case 0x22:
        var ignored = false
        at = closingQuote(at, range.upperBound, &ignored)
      case 0x5b, 0x28, 0x7b: depth += 1
      case 0x5d, 0x29, 0x7d:
        depth -= 1
        if depth == 0 {
          members.append(part())
          return (members, at + 1..<range.upperBound)
        }
      default: break
      }
      at += 1
    }
    return (nil, range.upperBound..<range.upperBound)
  }

  /// Cuts at the first pipe that stands in no query.
  func splitAtPipe(_ range: Range<Int>) -> (left: Range<Int>, right: Range<Int>?) {
    let end = range.upperBound
    guard text[range].contains(0x7c) else { return (range, nil) }
    if text[range.lowerBound] == 0x7b {
      let stop = min(
        range.lowerBound + 1 + text[range.lowerBound + 1..<end].balancedCount,
        end
      )
      guard stop < end, text[stop] == 0x7c else { return (range, nil) }
      return (range.lowerBound..<stop, stop + 1..<end)
    }
    var at = range.lowerBound
    while at < end {
      switch text[at] {
      case 0x5c: at += 1
      case 0x7c: return (range.lowerBound..<at, at + 1..<end)
      case 0x2e where at + 1 < end && text[at + 1] == 0x23:
        at += 2
        if at < end, text[at] == 0x5b || text[at] == 0x28 { at = queryEnd(at, end) }
      default: break
      }
      at += 1
    }
    return (range, nil)
  }

  /// The bracket that closes the one at `at`, by its own kind alone, or the end.
  private func queryEnd(_ at: Int, _ end: Int) -> Int {
    let (open, close): (UInt8, UInt8) = text[at] == 0x5b ? (0x5b, 0x5d) : (0x28, 0x29)
    var at = at + 1
    var depth = 1
    while at < end {
      switch text[at] {
      case 0x5c: at += 1
      case open: depth += 1
      case close:
        depth -= 1
        if depth == 0 { return at }
      case 0x22:
        var ignored = false
        at = closingQuote(at, end, &ignored)
      default: break
      }
      at += 1
    }
    return at
  }
}

extension ArraySlice<UInt8> {
  /// How many bytes belong to what was opened before them.
  fileprivate var balancedCount: Int {
    // The first byte is taken for an opened bracket or, if it is a quote, for a string.
    guard let first else { return 0 }
    return first == 0x22 ? balanced.count : upTo(containerEnd(startIndex + 1)).count
  }
}

/// Whether bytes are one JSON value.
func isJSON(_ bytes: ArraySlice<UInt8>) -> Bool {
  (try? JSONDocument(Array(bytes))) != nil
}

/// A string in quotes as Go's encoder writes it: `<`, `>`, `&` and the line separators escaped,
/// what is no UTF-8 replaced.
func appendASCIISafe(_ text: ArraySlice<UInt8>, to out: inout [UInt8]) {
  out.append(0x22)
  for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
    switch scalar {
    case "\"", "\\":
      out.append(0x5c)
      out.append(UInt8(ascii: scalar))
    case "\n": out += "\\n".utf8
    case "\r": out += "\\r".utf8
    case "\t": out += "\\t".utf8
    case "\u{8}": out += "\\b".utf8
    case "\u{c}": out += "\\f".utf8
    case "\0"..<" ", "<", ">", "&", "\u{2028}", "\u{2029}":
      let digits = String(scalar.value, radix: 16)
      out += ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).utf8
    default: out += String(scalar).utf8
    }
  }
  out.append(0x22)
}
