// GJSON reads text without checking it (spec section 4), so what it finds in text that is not
// JSON is part of the language. These steps never look behind the end and never fail.

/// How a value begins.
enum ValueStart { case string, container, literal, number }

extension ArraySlice<UInt8> {
  /// What begins at `at`; nil for a byte no value begins with.
  func valueStart(_ at: Int) -> ValueStart? {
    switch self[at] {
    case 0x22: .string
    case 0x7b, 0x5b: .container
    case 0x74, 0x66: .literal
    // `nan` is taken for a number, `null` is not.
    case 0x6e: at + 1 < endIndex && self[at + 1] != 0x75 ? .number : .literal
    case 0x2b, 0x2d, 0x30...0x39, 0x69, 0x49, 0x4e: .number
    default: nil
    }
  }

  /// Behind the closing quote of a string whose content begins at `start`; nil without one.
  func stringEnd(_ start: Int) -> Int? {
    var at = start
    while at < endIndex {
      switch self[at] {
      case 0x22: return at + 1
      case 0x5c: at += 2
      default: at += 1
      }
    }
    return nil
  }

  /// Behind the bracket that closes what was opened before `start`; round ones count as well.
  /// The end of the text where none does, and one more where a string within has no end: nothing
  /// is read behind such a container, not even a missing bracket.
  func containerEnd(_ start: Int) -> Int {
    var at = start
    var depth = 1
    while at < endIndex {
      switch self[at] {
      case 0x22:
        guard let end = stringEnd(at + 1) else { return endIndex + 1 }
        at = end
        continue
      case 0x7b, 0x5b, 0x28: depth += 1
      case 0x7d, 0x5d, 0x29:
        depth -= 1
        if depth == 0 { return at + 1 }
      default: break
      }
      at += 1
    }
    return endIndex
  }

  func numberEnd(_ start: Int) -> Int {
    var at = start + 1
    while at < endIndex {
      switch self[at] {
      case 0...0x20, 0x2c, 0x5d, 0x7d: return at
      default: at += 1
      }
    }
    return endIndex
  }

  func literalEnd(_ start: Int) -> Int {
    var at = start + 1
    while at < endIndex, (0x61...0x7a).contains(self[at]) { at += 1 }
    return Swift.min(at, endIndex)
  }

  /// The end of the value that begins at `at`; nil for a string without an end.
  func valueEnd(_ at: Int, _ start: ValueStart) -> Int? {
    switch start {
    case .string: stringEnd(at + 1)
    case .container: containerEnd(at + 1)
    case .literal: literalEnd(at)
    case .number: numberEnd(at)
    }
  }

  /// The next value from `start` on, whatever stands before it.
  func nextValue(_ start: Int) -> Range<Int>? {
    var at = start
    while at < endIndex {
      if let kind = valueStart(at) {
        return valueEnd(at, kind).map { at..<Swift.min($0, endIndex) }
      }
      at += 1
    }
    return nil
  }

  /// The value a whole text stands for: the first one, a container with all that follows it;
  /// empty where something else stands first.
  var firstValue: ArraySlice<UInt8> {
    guard let at = firstIndex(where: { $0 > 0x20 }), let kind = valueStart(at) else {
      return suffix(0)
    }
    return kind == .container ? self[at...] : upTo(valueEnd(at, kind) ?? endIndex)[at...]
  }

  /// A bracket or quote at the front and all up to its counterpart.
  var balanced: ArraySlice<UInt8> {
    let end = first == 0x22 ? stringEnd(startIndex + 1) ?? endIndex : containerEnd(startIndex + 1)
    return upTo(end)
  }

  /// All before `end`, which may lie behind the end.
  func upTo(_ end: Int) -> ArraySlice<UInt8> { self[..<Swift.min(end, endIndex)] }

  /// Without control characters and spaces at both ends.
  var trimmed: ArraySlice<UInt8> {
    var slice = self
    while let byte = slice.first, byte <= 0x20 { slice.removeFirst() }
    while let byte = slice.last, byte <= 0x20 { slice.removeLast() }
    return slice
  }

  /// The items of a container, or the one value itself: keys with their quotes, none in an array.
  func eachItem(_ body: (_ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) -> Void) {
    guard let first, first == 0x7b || first == 0x5b else {
      if !isEmpty { body(suffix(0), self) }
      return
    }
    let isObject = first == 0x7b
    var at = startIndex + 1
    while at < endIndex {
      var key = suffix(0)
      if isObject {
        if self[at] != 0x22 {
          at += 1
          continue
        }
        guard let end = stringEnd(at + 1) else { return }
        key = self[at..<end]
        at = end
      }
      guard let range = nextValue(at) else { return }
      body(key, self[range])
      at = range.upperBound + 1
    }
  }

  /// The elements of an array, up to its closing bracket.
  var elements: [ArraySlice<UInt8>] {
    var found: [ArraySlice<UInt8>] = []
    var at = startIndex + 1
    while at < endIndex {
      let byte = self[at]
      if byte == 0x5d || byte == 0x7d { break }
      switch byte {
      case 0x22, 0x7b, 0x5b, 0x6e, 0x74, 0x66, 0x2d, 0x30...0x39:
        let kind: ValueStart = byte == 0x6e ? .literal : valueStart(at) ?? .number
        let end = Swift.min(valueEnd(at, kind) ?? endIndex, endIndex)
        found.append(self[at..<end])
        at = end
      default: at += 1
      }
    }
    return found
  }
}

/// A string's content with its escapes undone, up to the first thing that is no escape. A
/// surrogate takes the `\u` behind it along; what is no pair becomes U+FFFD.
func looselyUnescaped(_ content: ArraySlice<UInt8>) -> [UInt8] {
  guard content.contains(0x5c) else { return Array(content) }
  var out: [UInt8] = []
  out.reserveCapacity(content.count)
  var at = content.startIndex
  func unit(_ start: Int) -> UInt32 {
    var value: UInt32 = 0
    for byte in content[start..<start + 4] {
      guard let digit = hexValue(byte) else { return 0 }
      value = value << 4 | UInt32(digit)
    }
    return value
  }
  while at < content.endIndex {
    let byte = content[at]
    if byte < 0x20 { return out }
    at += 1
    guard byte == 0x5c else {
      out.append(byte)
      continue
    }
    guard at < content.endIndex else { return out }
    switch content[at] {
    case 0x22, 0x5c, 0x2f: out.append(content[at])
    case 0x62: out.append(0x08)
    case 0x66: out.append(0x0c)
    case 0x6e: out.append(0x0a)
    case 0x72: out.append(0x0d)
    case 0x74: out.append(0x09)
    case 0x75:
      guard at + 5 <= content.endIndex else { return out }
      var code = unit(at + 1)
      at += 4
      if (0xd800...0xdfff).contains(code), at + 7 <= content.endIndex,
        content[at + 1] == 0x5c, content[at + 2] == 0x75
      {
        let low = unit(at + 3)
        at += 6
        code =
          code < 0xdc00 && (0xdc00...0xdfff).contains(low)
          ? 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00) : 0xfffd
      }
      out += Array(String(Character(Unicode.Scalar(code) ?? "\u{fffd}")).utf8)
    default: return out
    }
    at += 1
  }
  return out
}
