import Expression

/// Who asks for which span of numbers. Spans are kept by their lower bounds in blocks that know
/// their largest upper bound, so that a number is held against few that do not contain it.
struct RangeTable: Sendable {
  private struct Entry: Sendable {
    let range: NumberRange
    let number: Int32
  }

  private struct Block: Sendable {
    static let entriesMax = 128

    var entries: [Entry]
    var high: Double

    init(_ entries: [Entry]) {
      self.entries = entries
      high = entries.reduce(-.infinity) { max($0, $1.range.high) }
    }
  }

  private var blocks: [Block] = []
  private(set) var count = 0

  /// How many ask for exactly this number.
  func count(of number: Double) -> Int {
    var found = 0
    for block in blocks[firstBlock(number)...] {
      guard let first = block.entries.first, first.range.low <= number else { break }
      found += block.entries.count { $0.range.low == number && $0.range.high == number }
    }
    return found
  }

  /// Spans that hold nothing are left out.
  mutating func insert(_ range: NumberRange, _ number: Int32) {
    if range.isEmpty { return }
    count += 1
    let entry = Entry(range: range, number: number)
    guard !blocks.isEmpty else {
      blocks = [Block([entry])]
      return
    }
    let at = firstBlock(range.low)
    let place = blocks[at].entries.firstIndex { $0.range.low > range.low }
    blocks[at].entries.insert(entry, at: place ?? blocks[at].entries.count)
    blocks[at].high = max(blocks[at].high, range.high)
    guard blocks[at].entries.count > Block.entriesMax else { return }
    let half = blocks[at].entries.count / 2
    let later = Array(blocks[at].entries[half...])
    blocks[at] = Block(Array(blocks[at].entries[..<half]))
    blocks.insert(Block(later), at: at + 1)
  }

  mutating func remove(_ range: NumberRange, _ number: Int32) {
    if range.isEmpty { return }
    for at in firstBlock(range.low)..<blocks.count {
      let place = blocks[at].entries.firstIndex { $0.number == number && $0.range == range }
      guard let place else { continue }
      count -= 1
      var entries = blocks[at].entries
      entries.remove(at: place)
      if entries.isEmpty { blocks.remove(at: at) } else { blocks[at] = Block(entries) }
      return
    }
  }

  func find(_ number: Double, _ candidates: inout [Int32]) {
    for block in blocks {
      guard let first = block.entries.first, first.range.low <= number else { return }
      if block.high < number { continue }
      for entry in block.entries where entry.range.contains(number) {
        candidates.append(entry.number)
      }
    }
  }

  /// The first block in which a span with this lower bound may stand.
  private func firstBlock(_ low: Double) -> Int {
    var (from, to) = (0, blocks.count)
    while from < to {
      let middle = (from + to) / 2
      if let last = blocks[middle].entries.last, last.range.low < low {
        from = middle + 1
      } else {
        to = middle
      }
    }
    return max(0, min(from, blocks.count - 1))
  }
}
