/// Who looks for which words in a text. A word is looked up by a hash: two words that share one
/// only mean that somebody is asked in vain.
struct TextTable: Sendable {
  /// Bytes of a text that are searched for words anywhere; of longer ones all are candidates.
  static let searchedBytes = 64 << 10

  private var equal: [UInt64: Posting] = [:]
  private var prefixes = WordTable()
  private var suffixes = WordTable()
  /// Words that may stand anywhere, by their first two bytes.
  private var parts: [UInt16: WordTable] = [:]
  /// Words of one byte.
  private var single: [UInt8: Posting] = [:]
  private var partsCount = 0

  /// How many look for the same.
  func count(_ word: [UInt8], begins: Bool, ends: Bool) -> Int {
    let key = hash(word)
    switch (begins, ends) {
    case (true, true): return equal[key]?.count ?? 0
    case (true, false): return prefixes.count(key, word.count)
    case (false, true): return suffixes.count(key, word.count)
    case (false, false):
      return word.count < 2
        ? word.first.flatMap { single[$0]?.count } ?? 0
        : parts[pair(word)]?.count(key, word.count) ?? 0
    }
  }

  mutating func change(
    _ number: Int32,
    _ word: [UInt8],
    begins: Bool,
    ends: Bool,
    isAdded: Bool
  ) {
    let key = hash(word)
    switch (begins, ends) {
    case (true, true): equal.change(number, key, isAdded)
    case (true, false): prefixes.change(number, key, word.count, isAdded)
    case (false, true): suffixes.change(number, key, word.count, isAdded)
    case (false, false):
      partsCount += isAdded ? 1 : -1
      if word.count < 2 {
        for byte in word { single.change(number, byte, isAdded) }
      } else {
        let first = pair(word)
        parts[first, default: WordTable()].change(number, key, word.count, isAdded)
        if parts[first]?.isEmpty == true { parts[first] = nil }
      }
    }
  }

  var isEmpty: Bool { equal.isEmpty && prefixes.isEmpty && suffixes.isEmpty && partsCount == 0 }

  func find(_ text: ArraySlice<UInt8>, _ candidates: inout [Int32]) {
    if !equal.isEmpty { equal[hash(text)]?.append(to: &candidates) }
    for length in prefixes.lengths(upTo: text.count) {
      prefixes.find(hash(text.prefix(length)), length, &candidates)
    }
    for length in suffixes.lengths(upTo: text.count) {
      suffixes.find(hash(text.suffix(length)), length, &candidates)
    }
    if partsCount > 0 { findParts(text, &candidates) }
  }

  private func findParts(_ text: ArraySlice<UInt8>, _ candidates: inout [Int32]) {
    guard text.count <= Self.searchedBytes else {
      for posting in single.values { posting.append(to: &candidates) }
      for table in parts.values { table.appendAll(to: &candidates) }
      return
    }
    if !single.isEmpty {
      for byte in text { single[byte]?.append(to: &candidates) }
    }
    guard !parts.isEmpty, text.count >= 2 else { return }
    for at in text.startIndex..<text.endIndex - 1 {
      guard let table = parts[UInt16(text[at]) << 8 | UInt16(text[at + 1])] else { continue }
      let rest = text[at...]
      for length in table.lengths(upTo: rest.count) {
        table.find(hash(rest.prefix(length)), length, &candidates)
      }
    }
  }

  private func pair(_ word: [UInt8]) -> UInt16 { UInt16(word[0]) << 8 | UInt16(word[1]) }
}

/// Words of several lengths.
struct WordTable: Sendable {
  private struct Key: Hashable {
    let hash: UInt64
    let length: Int32
  }

  private var postings: [Key: Posting] = [:]
  /// In ascending order, each with the words that have it.
  private var lengths: [(length: Int, words: Int)] = []

  var isEmpty: Bool { postings.isEmpty }

  func lengths(upTo most: Int) -> some Sequence<Int> {
    lengths.lazy.map(\.length).prefix { $0 <= most }
  }

  func count(_ hash: UInt64, _ length: Int) -> Int {
    postings[Key(hash: hash, length: Int32(length))]?.count ?? 0
  }

  mutating func change(_ number: Int32, _ hash: UInt64, _ length: Int, _ isAdded: Bool) {
    let key = Key(hash: hash, length: Int32(length))
    let before = postings.count
    postings.change(number, key, isAdded)
    let difference = postings.count - before
    guard difference != 0 else { return }
    let place = lengths.firstIndex { $0.length >= length } ?? lengths.count
    if place == lengths.count || lengths[place].length != length {
      lengths.insert((length, 0), at: place)
    }
    lengths[place].words += difference
    if lengths[place].words == 0 { lengths.remove(at: place) }
  }

  func find(_ hash: UInt64, _ length: Int, _ candidates: inout [Int32]) {
    postings[Key(hash: hash, length: Int32(length))]?.append(to: &candidates)
  }

  func appendAll(to candidates: inout [Int32]) {
    for posting in postings.values { posting.append(to: &candidates) }
  }
}

extension Dictionary where Value == Posting {
  mutating func change(_ number: Int32, _ key: Key, _ isAdded: Bool) {
    if isAdded { add(number, to: key) } else { remove(number, from: key) }
  }
}

/// FNV-1a of 64 bits.
private func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
  return hash
}
