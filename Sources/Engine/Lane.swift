import Bus
import DequeModule
import Event
import Sensor

/// The firings of one trigger: which wait, which run, which are followed, and from where the rest
/// is on the log.
///
/// A state machine without I/O. At most `capacity` waiting firings are in memory; what comes
/// after stays on the log and is read again when its turn comes, so a trigger that is stuck costs
/// a bounded amount of memory and holds up nobody else.
struct Lane: Equatable, Sendable {
  static let capacity = 1024
  /// Nothing more is started while so many started ones have not ended.
  static let followLimit = 10_000

  /// A firing's place: the decision record, and its number within.
  struct Place: Hashable, Comparable, Sendable {
    let record: Position
    let number: Int

    static func < (a: Place, b: Place) -> Bool { (a.record, a.number) < (b.record, b.number) }
  }

  struct Entry: Equatable, Sendable {
    let intent: Intent
    let place: Place
  }

  /// Firings that are only on the log: every unfinished one of this trigger from `first` on that
  /// is not in memory.
  struct Spill: Equatable, Sendable {
    let first: Place
    /// No record that these firings need is before it.
    var oldest: Position
  }

  /// One that was started and is watched until it ends.
  struct Followed: Equatable, Sendable {
    let entry: Entry
    /// Where its `started` event is.
    let started: Position
  }

  var concurrency = 1
  private(set) var followed: [FiringID: Followed] = [:]
  private(set) var running: [FiringID: Entry] = [:]
  /// Those among the running that end without being carried out.
  private var leaving: Set<FiringID> = []
  private(set) var waiting = Deque<Entry>()
  private(set) var spill: Spill?
  /// Those that wait, run or are followed.
  private var members: Set<FiringID> = []
  /// Endings of spilled firings, seen while the log is read at the start.
  private var ended: Set<FiringID> = []
  /// Spilled firings whose `started` event was seen while the log is read at the start.
  private var startedAway: [FiringID: Position] = [:]

  /// Whether another large batch might find no room.
  var isLong: Bool { waiting.count >= Self.capacity / 4 }

  /// Whether the log has to be read for more.
  var wantsRefill: Bool { waiting.isEmpty && spill != nil && hasRoom }

  private var hasRoom: Bool {
    running.count < concurrency && running.count + followed.count < Self.followLimit
  }

  var isIdle: Bool { members.isEmpty && spill == nil }

  /// Takes a firing that was decided on, once however often it is told.
  mutating func add(_ intent: Intent, at place: Place) {
    if members.contains(intent.id) { return }
    if spill != nil || waiting.count >= Self.capacity {
      let oldest = intent.oldest(place.record)
      spill = Spill(first: spill?.first ?? place, oldest: min(spill?.oldest ?? oldest, oldest))
      return
    }
    members.insert(intent.id)
    waiting.append(Entry(intent: intent, place: place))
  }

  /// Whether a firing found on the log behind `spill` is still to be carried out.
  func misses(_ id: FiringID) -> Bool { !members.contains(id) && !ended.contains(id) }

  /// The firings read again from the log, in order, and where those that did not fit begin.
  mutating func refill(_ entries: [Entry], rest: Place?) {
    waiting.append(contentsOf: entries)
    members.formUnion(entries.map(\.intent.id))
    if let rest, let spill {
      self.spill = Spill(first: rest, oldest: spill.oldest)
    } else {
      spill = nil
      ended = []
    }
  }

  /// Takes up what a snapshot says.
  mutating func restore(_ entries: [Entry], _ followed: [Followed], _ spill: Spill?) {
    refill(entries, rest: nil)
    for one in followed {
      members.insert(one.entry.intent.id)
      self.followed[one.entry.intent.id] = one
    }
    self.spill = spill
  }

  enum Next {
    case run(Intent)
    /// Enough of its key are unfinished: it is not to be carried out.
    case skip(Intent)
    /// Enough newer ones of its key wait behind it: it is not to be carried out.
    case supersede(Intent)
    /// The first of those that wait may run then.
    case later(Timestamp)
    /// As many of each key that waits as may be are unfinished.
    case busy
    /// None waits, or enough run.
    case nothing
  }

  /// The next firing to run, or why there is none.
  /// - Parameter busy: how many are unfinished by key; kept up to date.
  mutating func next(
    _ limit: ConcurrencyLimit?,
    _ busy: inout [String: Int],
    at now: Timestamp
  ) -> Next {
    guard hasRoom, let first = waiting.first else { return .nothing }
    if let due = first.intent.notBefore, due > now { return .later(due) }
    guard let limit else { return .run(start(0)) }
    var newer = limit.mode == .cancelOlder ? keys(of: waiting) : [:]
    // Those of other keys overtake one whose key is busy.
    for index in waiting.indices {
      let intent = waiting[index].intent
      if let due = intent.notBefore, due > now { return .later(due) }
      let key = intent.lane ?? ""
      newer[key, default: 1] -= 1
      if newer[key, default: 0] >= limit.count { return .supersede(leave(index)) }
      if busy[key, default: 0] < limit.count {
        busy[key, default: 0] += 1
        return .run(start(index))
      }
      if limit.mode == .skip { return .skip(leave(index)) }
    }
    return .busy
  }

  private mutating func leave(_ index: Int) -> Intent {
    let intent = start(index)
    leaving.insert(intent.id)
    return intent
  }

  private mutating func start(_ index: Int) -> Intent {
    let entry = waiting.remove(at: index)
    running[entry.intent.id] = entry
    return entry.intent
  }

  private func keys(of entries: some Sequence<Entry>) -> [String: Int] {
    var count: [String: Int] = [:]
    for entry in entries { count[entry.intent.lane ?? "", default: 0] += 1 }
    return count
  }

  /// Those that have to end for the ones that wait to begin: the oldest that are followed, of each
  /// key as many as there is no room for.
  func older(than limit: ConcurrencyLimit) -> [Intent] {
    let (busy, wanted) = (unfinished, keys(of: waiting))
    var tooMany = wanted.reduce(into: [:]) { counts, entry in
      counts[entry.key] = (busy[entry.key] ?? 0) + min(entry.value, limit.count) - limit.count
    }
    return followed.values.sorted { $0.entry.place < $1.entry.place }.map(\.entry.intent).filter {
      let key = $0.lane ?? ""
      guard let left = tooMany[key], left > 0 else { return false }
      tooMany[key] = left - 1
      return true
    }
  }

  /// How many were begun and have not ended, by key.
  var unfinished: [String: Int] {
    let begun = running.values.filter { !leaving.contains($0.intent.id) }
    return keys(of: begun).merging(keys(of: followed.values.map(\.entry))) { $0 + $1 }
  }

  /// Takes note that a firing was started, which makes room for the next.
  mutating func follow(_ id: FiringID, started: Position) {
    guard members.contains(id) else {
      if spill != nil { startedAway[id] = started }
      return
    }
    guard followed[id] == nil, let entry = take(id) else { return }
    followed[id] = Followed(entry: entry, started: started)
  }

  /// Takes up a firing found on the log behind `spill` if it is a started one.
  mutating func follow(spilled entry: Entry) {
    guard misses(entry.intent.id),
      let started = startedAway.removeValue(forKey: entry.intent.id)
    else { return }
    members.insert(entry.intent.id)
    followed[entry.intent.id] = Followed(entry: entry, started: started)
  }

  /// Takes note of an ending.
  mutating func end(_ id: FiringID) {
    if members.remove(id) != nil {
      if followed.removeValue(forKey: id) == nil { _ = take(id) }
    } else if spill != nil {
      startedAway[id] = nil
      ended.insert(id)
    }
  }

  private mutating func take(_ id: FiringID) -> Entry? {
    if let entry = running.removeValue(forKey: id) {
      leaving.remove(id)
      return entry
    }
    guard let index = waiting.firstIndex(where: { $0.intent.id == id }) else { return nil }
    return waiting.remove(at: index)
  }
}

extension Intent {
  /// The first record it needs: its own at `record`, or that of an event.
  fileprivate func oldest(_ record: Position) -> Position {
    events.compactMap { Position($0.place) }.reduce(record, min)
  }
}
