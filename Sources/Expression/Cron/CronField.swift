/// One field of a schedule: a set of numbers.
struct CronField: Sendable, Equatable {
  /// What may stand in a field.
  struct Bounds: Sendable {
    let name: String
    let range: ClosedRange<Int>
    /// Words for numbers, the first being the lower bound's.
    var words: [String] = []
  }

  static let second = Bounds(name: "second", range: 0...59)
  static let minute = Bounds(name: "minute", range: 0...59)
  static let hour = Bounds(name: "hour", range: 0...23)
  static let day = Bounds(name: "day of the month", range: 1...31)
  static let month = Bounds(
    name: "month",
    range: 1...12,
    words: [
      "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
  )
  static let weekday = Bounds(
    name: "day of the week",
    range: 0...6,
    words: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
  )

  /// Ascending, at least one.
  let numbers: [Int]
  /// Whether it was written `*` or `?`, steps of more than one aside: such a field of days leaves
  /// the choice to the other one.
  let isAny: Bool
  /// Whether the text begins with `*` or `?`.
  let beginsWithStar: Bool

  func contains(_ number: Int) -> Bool { numbers.contains(number) }

  /// The least number from `start` on.
  func next(from start: Int) -> Int? { numbers.first { $0 >= start } }

  init(_ text: Substring, _ bounds: Bounds) throws(CronError) {
    var found: Set<Int> = []
    var isAny = false
    for part in text.split(separator: ",") {
      let (numbers, any) = try Self.range(part, bounds)
      found.formUnion(numbers)
      isAny = isAny || any
    }
    if found.isEmpty {
      throw CronError("found '\(text)', expected a \(bounds.name)")
    }
    numbers = found.sorted()
    self.isAny = isAny
    beginsWithStar = text.first == "*" || text.first == "?"
  }

  /// `*`, `5`, `1-5`, each with `/step` or without.
  private static func range(
    _ text: Substring,
    _ bounds: Bounds
  ) throws(CronError) -> (StrideThrough<Int>, isAny: Bool) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count <= 2, ends.count <= 2 else {
      throw CronError("found '\(text)', expected a \(bounds.name) as 5, 1-5, */5 or 1-5/2")
    }
    let isStar = parts[0] == "*" || parts[0] == "?"
    let first = isStar ? bounds.range.lowerBound : try number(ends[0], bounds)
    var last = isStar ? bounds.range.upperBound : first
    if ends.count == 2 { last = try number(ends[1], bounds) }
    var step = 1
    if parts.count == 2 {
      guard let size = plainNumber(parts[1]), size > 0 else {
        throw CronError("found the step '\(parts[1])', expected a number from 1 on")
      }
      step = size
      // `5/15` goes on to the end.
      if ends.count == 1 { last = bounds.range.upperBound }
    }
    guard first <= last else {
      throw CronError("found '\(text)', expected the lower \(bounds.name) before the higher")
    }
    return (stride(from: first, through: last, by: step), isStar && step == 1)
  }

  private static func number(_ text: Substring, _ bounds: Bounds) throws(CronError) -> Int {
    if let word = bounds.words.firstIndex(of: text.lowercased()) {
      return word + bounds.range.lowerBound
    }
    guard let number = plainNumber(text), bounds.range.contains(number) else {
      let ends = "\(bounds.range.lowerBound) to \(bounds.range.upperBound)"
      let words = bounds.words.isEmpty ? "" : " or a name such as \(bounds.words[0].uppercased())"
      throw CronError("found '\(text)', expected a \(bounds.name) from \(ends)\(words)")
    }
    return number
  }

  private static func plainNumber(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.count <= 9,
      text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return Int(text)
  }
}
