import Event

/// What an event or a firing led to, found in one pass over a log, in which a cause is always before
/// what it causes; over several logs in as many passes as find something new.
struct Lineage {
  /// An event with what it is behind.
  private struct Branch {
    let line: String
    let causes: [String]
  }

  private let root: String
  /// How many steps behind the root, by the ids of events and firings.
  private var depths: [String: Int]
  private var branches: [String: Branch] = [:]
  /// The ids of these, as they came.
  private var order: [String] = []

  /// Lines that are kept for a tree; what is behind them is left out, and said so.
  private static let linesMax = 100_000
  private(set) var isCut = false

  init(of root: String) {
    self.root = root
    depths = [root: 0]
  }

  /// How far behind the root it is, 0 for the root itself; nil where that did not lead to it.
  mutating func depth(of event: Event) -> Int? {
    if event.id == root { return 0 }
    guard let cause = event.cause else { return nil }
    let parents = [cause.firing.text] + cause.events
    guard let nearest = parents.compactMap({ depths[$0] }).max() else { return nil }
    depths[event.id] = nearest + 1
    return nearest + 1
  }

  /// Keeps an event of it for `lines`.
  mutating func add(_ event: Event, _ line: String) {
    guard branches.count < Self.linesMax else {
      isCut = true
      return
    }
    order.append(event.id)
    branches[event.id] = Branch(line: line, causes: event.cause?.events ?? [])
  }

  /// How much of it is known.
  var count: Int { depths.count }

  /// The tree, two spaces for each step.
  var lines: [String] {
    var children: [String: [String]] = [:]
    var tops: [String] = []
    for id in order {
      // Under the last of its causes that belongs here, which clocks may have put behind it.
      let parent = branches[id]?.causes.last { branches[$0] != nil }
      if let parent { children[parent, default: []].append(id) } else { tops.append(id) }
    }
    var lines: [String] = []
    // From the last to the first, so that the first is taken first.
    var rest = tops.reversed().map { (id: $0, depth: 0) }
    while let (id, depth) = rest.popLast() {
      guard let branch = branches[id] else { continue }
      lines.append(String(repeating: "  ", count: depth) + branch.line)
      rest += (children[id] ?? []).reversed().map { (id: $0, depth: depth + 1) }
    }
    return lines
  }
}
