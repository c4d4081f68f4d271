import Event
import Posix
import Synchronization

/// Where the events are, by identity: the newest in memory, the rest in a table on the disk.
final class Identities: Sendable {
  private struct State {
    /// Of the segment that is being written, and of others that the table did not take yet.
    var recent: [Event.Identity: UInt64] = [:]
    var table: IdentityTable?
  }

  private let disk: any LogDisk
  private let seed: UInt32
  private let state: Mutex<State>

  /// - Parameter table: nil: it is made with the first sealed segment.
  init(_ disk: any LogDisk, seed: UInt32, _ table: IdentityTable?) {
    self.disk = disk
    self.seed = seed
    state = Mutex(State(table: table))
  }

  /// Identities of records up to here are on the disk.
  var covered: UInt64 { state.withLock { $0.table?.covered ?? 0 } }

  func offset(of identity: Event.Identity) throws(SystemError) -> UInt64? {
    let result = state.withLock { state -> Result<UInt64?, SystemError> in
      if let offset = state.recent[identity] { return .success(offset) }
      do throws(SystemError) { return .success(try state.table?.offset(of: identity)) } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  func note(_ entries: some Sequence<(key: Event.Identity, value: UInt64)>) {
    state.withLock { state in
      for entry in entries { state.recent[entry.key] = entry.value }
    }
  }

  /// The identities of a segment, from memory.
  func recent(from first: UInt64, through last: UInt64) -> [IdentityTable.Entry] {
    state.withLock { state in
      state.recent.filter { $0.value >= first && $0.value <= last }
        .map { ($0.key, $0.value) }.sorted { $0.1 < $1.1 }
    }
  }

  /// Moves what is known up to `offset`, with `more`, from memory to the disk. When that fails
  /// everything stays in memory and is tried again with the next segment. Meanwhile look-ups go
  /// on: what is being moved is found in memory. One call at a time.
  func flush(
    _ more: [IdentityTable.Entry] = [],
    through offset: UInt64,
    keeping wanted: () -> IdentityTable.Wanted
  ) throws(SystemError) {
    let (known, old) = state.withLock { state in
      (state.recent.filter { $0.value <= offset }.map { ($0.key, $0.value) }, state.table)
    }
    let count = UInt64(known.count + more.count)
    // One that fails half-way keeps its old count; the same entries are added again later.
    var table: IdentityTable
    if let old {
      table = old
    } else {
      table = try IdentityTable(making: disk, seed: seed, for: count)
    }
    try table.add(known + more, through: offset, keeping: wanted)
    state.withLock { state in
      state.table = table
      state.recent = state.recent.filter { $0.value > offset }
    }
  }
}
