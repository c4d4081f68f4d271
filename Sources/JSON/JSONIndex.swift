/// An array or object of a checked document. A document has them in the order in which they begin.
struct JSONContainer: Sendable {
  /// Behind its closing bracket.
  var end: UInt32
  /// The number of the first one that begins behind it.
  var next: UInt32
}

/// The place of one value of a checked document.
struct JSONPlace {
  let start: Int
  let end: Int
  /// Of a container: its own number.
  let number: Int

  var range: Range<Int> { start..<end }
}

/// Steps through the items of one container of a checked document, over those within at once.
struct JSONItems {
  private let bytes: [UInt8]
  private let containers: [JSONContainer]
  private(set) var at: Int
  /// The number of the next container at `at` or behind it.
  private var number: Int

  /// - Parameter container: the place of an array or object.
  init(_ bytes: [UInt8], _ containers: [JSONContainer], in container: JSONPlace) {
    self.bytes = bytes
    self.containers = containers
    at = container.start
    number = container.number + 1
  }

  /// Moves to the next item, over the opening bracket or a comma; false behind the last.
  mutating func next() -> Bool {
    skipSpace()
    if bytes[at] | 0x20 == 0x7d { return false }
    at += 1
    skipSpace()
    return bytes[at] | 0x20 != 0x7d
  }

  /// The content of a key, and moves to its value.
  mutating func key() -> Range<Int> {
    let start = at + 1
    at = bytes.span.stringEnd(start)
    let end = at - 1
    skipSpace()
    at += 1
    skipSpace()
    return start..<end
  }

  /// The value at hand, and moves behind it.
  mutating func value() -> JSONPlace {
    let start = at
    let number = number
    switch bytes[at] {
    case 0x22: at = bytes.span.stringEnd(at + 1)
    case 0x7b, 0x5b:
      at = Int(containers[number].end)
      self.number = Int(containers[number].next)
    default:
      while at < bytes.count, !bytes[at].endsScalar { at += 1 }
    }
    return JSONPlace(start: start, end: at, number: number)
  }

  private mutating func skipSpace() {
    while isSpace(bytes[at]) { at += 1 }
  }
}

extension UInt8 {
  /// Whether a number or word of checked JSON ends before this byte.
  fileprivate var endsScalar: Bool { self == 0x2c || self | 0x20 == 0x7d || isSpace(self) }
}

extension Span<UInt8> {
  /// Behind the closing quote of a string of checked JSON whose content begins at `start`.
  func stringEnd(_ start: Int) -> Int {
    var at = start
    while true {
      while at + 8 <= count {
        let word = eight(at)
        let found = word.places(of: 0x22) | word.places(of: 0x5c)
        if found != 0 {
          at += found.trailingZeroBitCount / 8
          break
        }
        at += 8
      }
      if self[at] == 0x22 { return at + 1 }
      at += self[at] == 0x5c ? 2 : 1
    }
  }

  /// The next eight bytes, the first of them in the lowest bits; there are as many.
  private func eight(_ at: Int) -> UInt64 {
    precondition(at >= 0 && at + 8 <= count, "eight bytes are left")
    let raw = unsafe bytes
    // Within bounds, as just said.
    return unsafe UInt64(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
  }
}

extension UInt64 {
  /// Marks bytes that are `byte`: the lowest mark is right, those above it may be wrong.
  fileprivate func places(of byte: UInt8) -> UInt64 {
    let rest = self ^ (UInt64(byte) &* 0x0101_0101_0101_0101)
    return (rest &- 0x0101_0101_0101_0101) & ~rest & 0x8080_8080_8080_8080
  }
}

extension ArraySlice<UInt8> {
  /// Whether the same bytes are in another.
  package func isSame(_ other: ArraySlice<UInt8>) -> Bool {
    guard count == other.count else { return false }
    let (a, b) = (span, other.span)
    for place in 0..<a.count where a[place] != b[place] { return false }
    return true
  }
}
