/// Whether all of `text` fits `pattern`: `*` is any run, `?` one character, `\` takes the next
/// byte of the pattern as it is. At worst text times pattern in time.
func fits(_ text: ArraySlice<UInt8>, _ pattern: [UInt8]) -> Bool {
  var at = text.startIndex
  var place = 0
  // Where to go on when a later part does not fit: behind the last star, one character on.
  var retry: (place: Int, at: Int)?
  while at < text.endIndex {
    if place < pattern.count, pattern[place] == 0x2a {
      retry = (place + 1, at)
      place += 1
      continue
    }
    if let (step, width) = matchOne(text, at, pattern, place) {
      at += width
      place += step
    } else if let (from, start) = retry {
      at = start + characterWidth(text, start)
      retry = (from, at)
      place = from
    } else {
      return false
    }
  }
  return pattern[place...].allSatisfy { $0 == 0x2a }
}

/// The bytes of pattern and text that fit each other, or nil.
private func matchOne(
  _ text: ArraySlice<UInt8>,
  _ at: Int,
  _ pattern: [UInt8],
  _ place: Int
) -> (pattern: Int, text: Int)? {
  guard place < pattern.count else { return nil }
  switch pattern[place] {
  case 0x3f: return (1, characterWidth(text, at))
  case 0x5c:
    guard place + 1 < pattern.count, pattern[place + 1] == text[at] else { return nil }
    return (2, 1)
  case text[at]: return (1, 1)
  default: return nil
  }
}

/// The length of the UTF-8 sequence at `at`; 1 for a byte that begins none.
private func characterWidth(_ text: ArraySlice<UInt8>, _ at: Int) -> Int {
  let width =
    switch text[at] {
    case 0xc2...0xdf: 2
    case 0xe0...0xef: 3
    case 0xf0...0xf4: 4
    default: 1
    }
  let end = at + width
  return end <= text.endIndex && text[(at + 1)..<end].allSatisfy { $0 & 0xc0 == 0x80 } ? width : 1
}
