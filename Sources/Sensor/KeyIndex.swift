import Expression
import JSON

/// Those who wait for events of one source and name, by what their filters ask of the data.
/// Whoever is left out as a candidate would have refused the event, without an error.
struct KeyIndex: Sendable {
  /// Everyone, in ascending order.
  private(set) var all: [Int32] = []
  /// Those whose filters nothing tells beforehand, in ascending order.
  private var always: [Int32] = []
  private var groups: [Group] = []
  /// What is looked at in an event.
  private var paths = PathNumbers()

  /// Those who are told by the same guards: where one does not hold, all of them are candidates.
  private struct Group: Sendable {
    let guards: [FilterGuard]
    /// The numbers of the guards' paths.
    let places: [Int]
    var members: [Int32] = []
    var tables: [Table] = []
  }

  /// Who asks what of the value behind one path.
  private struct Table: Sendable {
    let path: JSONPath
    let place: Int
    var texts = TextTable()
    var numbers = RangeTable()
    var truths: [Bool: Posting] = [:]
    var present: [Bool: Posting] = [:]

    var isEmpty: Bool {
      texts.isEmpty && numbers.count == 0 && truths.isEmpty && present.isEmpty
    }
  }

  var isEmpty: Bool { all.isEmpty }
  /// Whether looking at the data can rule somebody out.
  var isSelective: Bool { !groups.isEmpty }

  // MARK: Who comes and goes

  /// - Returns: which of the filter's choices it is found by; nil: by none.
  mutating func insert(_ number: Int32, _ filter: EventFilter?) -> Int? {
    all.insertAscending(number)
    let choices = filter?.choices ?? []
    guard let best = choices.indices.min(by: { cost(choices[$0]) < cost(choices[$1]) }) else {
      always.insertAscending(number)
      return nil
    }
    change(number, choices[best], isAdded: true)
    return best
  }

  mutating func remove(_ number: Int32, _ filter: EventFilter?, _ choice: Int?) {
    all.removeAscending(number)
    guard let choice, let choices = filter?.choices else {
      always.removeAscending(number)
      return
    }
    change(number, choices[choice], isAdded: false)
  }

  private mutating func change(_ number: Int32, _ choice: FilterChoice, isAdded: Bool) {
    let at = groups.firstIndex { $0.guards == choice.guards } ?? groups.count
    if at == groups.count {
      groups.append(
        Group(guards: choice.guards, places: choice.guards.map { paths.insert($0.path) })
      )
    }
    if isAdded {
      groups[at].members.append(number)
    } else {
      groups[at].members.removeAll { $0 == number }
    }
    for atom in choice.atoms { change(number, atom, at, isAdded) }
    guard groups[at].members.isEmpty else { return }
    for path in choice.guards.map(\.path) { paths.remove(path) }
    groups.remove(at: at)
  }

  private mutating func change(_ number: Int32, _ atom: FilterAtom, _ group: Int, _ isAdded: Bool) {
    // Nobody else may hold the tables while they change, or each change copies them.
    let count = groups[group].tables.count
    let at = groups[group].tables.firstIndex { $0.path == atom.path } ?? count
    if at == count {
      groups[group].tables.append(Table(path: atom.path, place: paths.insert(atom.path)))
    }
    switch atom.test {
    case .text(let word, let begins, let ends):
      groups[group].tables[at].texts.change(
        number,
        word,
        begins: begins,
        ends: ends,
        isAdded: isAdded
      )
    case .number(let range) where isAdded:
      groups[group].tables[at].numbers.insert(range, number)
    case .number(let range): groups[group].tables[at].numbers.remove(range, number)
    case .truth(let truth): groups[group].tables[at].truths.change(number, truth, isAdded)
    case .exists: groups[group].tables[at].present.change(number, true, isAdded)
    }
    if groups[group].tables[at].isEmpty, !isAdded {
      paths.remove(atom.path)
      groups[group].tables.remove(at: at)
    }
  }

  /// About how often somebody would be asked in vain who is found by this.
  private func cost(_ choice: FilterChoice) -> Int {
    let group = groups.first { $0.guards == choice.guards }
    return choice.atoms.reduce(0) { sum, atom in
      let table = group?.tables.first { $0.path == atom.path }
      switch atom.test {
      case .text(let word, let begins, let ends):
        let same = table?.texts.count(word, begins: begins, ends: ends) ?? 0
        return sum + same + (begins && ends ? 0 : 1 + 64 / max(1, word.count))
      case .number(let range):
        let others = table?.numbers.count ?? 0
        if range.low == range.high { return sum + 2 + (table?.numbers.count(of: range.low) ?? 0) }
        let isOpen = range.low == -.infinity || range.high == .infinity
        return sum + (isOpen ? 200 + others / 2 : 100 + others / 8)
      case .truth(let truth): return sum + 500 + (table?.truths[truth]?.count ?? 0)
      case .exists: return sum + 1000 + (table?.present[true]?.count ?? 0)
      }
    }
  }

  // MARK: Who may want an event

  /// Those who may not refuse the data, in ascending order.
  func candidates(_ document: JSONDocument) -> [Int32] {
    var candidates = always
    let values = paths.values(in: document)
    for group in groups {
      let holds = zip(group.guards, group.places).allSatisfy { (one, place) in
        one.holds(for: values[place])
      }
      guard holds else {
        candidates += group.members
        continue
      }
      for table in group.tables {
        guard let value = values[table.place] else { continue }
        table.present[true]?.append(to: &candidates)
        if !table.texts.isEmpty { table.texts.find(value.stringBytes, &candidates) }
        if table.numbers.count > 0 { table.numbers.find(value.double, &candidates) }
        if !table.truths.isEmpty { table.truths[value.bool]?.append(to: &candidates) }
      }
    }
    candidates.sort()
    // Who looks for one of several words may have found more of them.
    var last: Int32 = -1
    candidates.removeAll { number in
      defer { last = number }
      return number == last
    }
    return candidates
  }
}

/// Paths by numbers, each for as long as somebody needs it.
private struct PathNumbers: Sendable {
  private var numbers: [JSONPath: (number: Int, uses: Int)] = [:]
  private var paths: [JSONPath?] = []
  private var free: [Int] = []

  mutating func insert(_ path: JSONPath) -> Int {
    if let entry = numbers[path] {
      numbers[path]?.uses += 1
      return entry.number
    }
    let number = free.popLast() ?? paths.count
    if number == paths.count { paths.append(nil) }
    paths[number] = path
    numbers[path] = (number, 1)
    return number
  }

  /// Takes back one `insert`.
  mutating func remove(_ path: JSONPath) {
    guard let entry = numbers[path] else { return }
    numbers[path]?.uses -= 1
    guard entry.uses == 1 else { return }
    numbers[path] = nil
    paths[entry.number] = nil
    free.append(entry.number)
  }

  /// What each path leads to, by its number.
  func values(in document: JSONDocument) -> [JSONValue?] {
    paths.map { path in path.flatMap { document.value(at: $0) } }
  }
}
