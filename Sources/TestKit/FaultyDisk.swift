package import EventLog
import Glibc
package import Posix
import Synchronization

/// A disk in memory that fails when told to and forgets, as a real one does, what was not synced:
/// of writes since the last sync any sectors may be there after a crash, in any order.
package final class FaultyDisk: LogDisk {
  fileprivate enum Change {
    case write(offset: Int, bytes: [UInt8])
    case truncate(Int)
  }

  fileprivate struct Inode {
    var current: [UInt8] = []
    var durable: [UInt8] = []
    var unsynced: [Change] = []
  }

  fileprivate enum Naming {
    case set(String, Int)
    case remove(String)
    case move(String, String)
  }

  fileprivate struct Fault {
    /// nil: any call.
    let call: LogCall?
    var skipping: Int
    let code: Int32
  }

  fileprivate struct State {
    var names: [String: Int] = [:]
    var durableNames: [String: Int] = [:]
    var namings: [Naming] = []
    var inodes: [Int: Inode] = [:]
    var nextInode = 0
    var faults: [Fault] = []
    var calls: [LogCall: Int] = [:]
    var failed: [LogCall: Int] = [:]
    var crashAfter: Int?
    var random = Seeded(0)
    var watcher: (@Sendable (LogCall) -> Void)?
    var freeBytes: Int?
  }

  fileprivate let state = Mutex(State())

  package init(seed: UInt64 = 0) { state.withLock { $0.random = Seeded(seed) } }

  // MARK: Faults

  /// Lets one call fail: the next of `call`, or of all calls, after `skipping` others. A write
  /// that fails stores a part.
  package func inject(_ call: LogCall?, _ code: Int32, skipping: Int = 0) {
    state.withLock { $0.faults.append(Fault(call: call, skipping: skipping, code: code)) }
  }

  package func clearFaults() {
    state.withLock { state in
      state.faults = []
      state.crashAfter = nil
    }
  }

  /// The power goes after so many calls: that one is done in part, and all later ones fail.
  package func crash(after calls: Int) { state.withLock { $0.crashAfter = calls } }

  /// Calls `watcher` before each call, on its thread.
  package func watch(_ watcher: @escaping @Sendable (LogCall) -> Void) {
    state.withLock { $0.watcher = watcher }
  }

  /// How often each call was made, and how often it was made to fail.
  package var calls: [LogCall: Int] { state.withLock { $0.calls } }
  package var failed: [LogCall: Int] { state.withLock { $0.failed } }

  /// Counts a call; an error if it is to fail.
  fileprivate func enter(_ call: LogCall, _ what: String) throws(SystemError) {
    let watcher = state.withLock { $0.watcher }
    watcher?(call)
    let code = state.withLock { state -> Int32? in
      state.calls[call, default: 0] += 1
      if let left = state.crashAfter {
        state.crashAfter = left - 1
        if left <= 0 { return EIO }
      }
      guard
        let index = state.faults.firstIndex(where: {
          ($0.call ?? call) == call && $0.skipping == 0
        })
      else {
        for index in state.faults.indices where (state.faults[index].call ?? call) == call {
          state.faults[index].skipping -= 1
        }
        return nil
      }
      state.failed[call, default: 0] += 1
      return state.faults.remove(at: index).code
    }
    if let code { throw SystemError(what, call.rawValue, code: code) }
  }

  // MARK: What is on it

  /// The bytes of a file as they are now; set, they are durable.
  package subscript(name: String) -> [UInt8] {
    get {
      state.withLock { state in
        state.names[name].flatMap { state.inodes[$0]?.current } ?? []
      }
    }
    set {
      state.withLock { state in
        let inode = state.names[name] ?? state.nextInode
        state.nextInode = max(state.nextInode, inode + 1)
        state.names[name] = inode
        state.durableNames[name] = inode
        state.inodes[inode] = Inode(current: newValue, durable: newValue)
      }
    }
  }

  package var names: [String] { state.withLock { $0.names.keys.sorted() } }

  /// What is left after the power failed: synced bytes, and of the rest any part.
  package func crashed(_ seed: UInt64) -> FaultyDisk {
    var random = Seeded(seed)
    let after = FaultyDisk(seed: random.next())
    let (inodes, durable, namings) = state.withLock {
      ($0.inodes, $0.durableNames, $0.namings)
    }
    var names = durable
    // A journal: names change in order, and the last changes may be missing.
    for naming in namings.prefix(Int.random(in: 0...namings.count, using: &random)) {
      apply(naming, &names)
    }
    for (name, inode) in names.sorted(by: { $0.key < $1.key }) {
      guard let inode = inodes[inode] else { continue }
      var bytes = inode.durable
      for change in inode.unsynced { applyInPart(change, &bytes, &random) }
      after[name] = bytes
    }
    return after
  }

  /// The same files, all of them durable.
  package func copy() -> FaultyDisk {
    let copy = FaultyDisk()
    for name in names { copy[name] = self[name] }
    return copy
  }

  // MARK: The calls

  package func list(_ call: LogCall) throws(SystemError) -> [String] {
    try enter(call, "readdir")
    return names
  }

  package func open(
    _ name: String,
    create: Bool,
    _ call: LogCall
  ) throws(SystemError) -> any LogFile {
    try enter(call, "open")
    let (inode, isThere) = state.withLock { state -> (Int, Bool) in
      if let inode = state.names[name] { return (inode, true) }
      guard create else { return (0, false) }
      let inode = state.nextInode
      state.nextInode += 1
      state.names[name] = inode
      state.inodes[inode] = Inode()
      state.namings.append(.set(name, inode))
      return (inode, false)
    }
    if create && isThere { throw SystemError("open", name, code: EEXIST) }
    if !create && !isThere { throw SystemError("open", name, code: ENOENT) }
    return FaultyFile(self, inode)
  }

  package func remove(_ name: String, _ call: LogCall) throws(SystemError) {
    try enter(call, "unlink")
    state.withLock { state in
      guard state.names.removeValue(forKey: name) != nil else { return }
      state.namings.append(.remove(name))
    }
  }

  package func rename(_ name: String, to new: String, _ call: LogCall) throws(SystemError) {
    try enter(call, "rename")
    let isThere = state.withLock { state in
      guard let inode = state.names.removeValue(forKey: name) else { return false }
      state.names[new] = inode
      state.namings.append(.move(name, new))
      return true
    }
    if !isThere { throw SystemError("rename", name, code: ENOENT) }
  }

  package func syncFolder(_ call: LogCall) throws(SystemError) {
    try enter(call, "fsync")
    state.withLock { state in
      state.durableNames = state.names
      state.namings = []
    }
  }

  package func freeBytes() -> Int? { state.withLock { $0.freeBytes } }

  /// Answers this where the log asks how much space is left.
  package func setFreeBytes(_ bytes: Int) { state.withLock { $0.freeBytes = bytes } }
}

private func apply(_ naming: FaultyDisk.Naming, _ names: inout [String: Int]) {
  switch naming {
  case .set(let name, let inode): names[name] = inode
  case .remove(let name): names[name] = nil
  case .move(let name, let new): names[new] = names.removeValue(forKey: name)
  }
}

private func apply(_ change: FaultyDisk.Change, _ bytes: inout [UInt8]) {
  switch change {
  case .truncate(let size):
    if size < bytes.count {
      bytes.removeLast(bytes.count - size)
    } else {
      bytes += [UInt8](repeating: 0, count: size - bytes.count)
    }
  case .write(let offset, let new):
    if bytes.count < offset + new.count {
      bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
    }
    bytes.replaceSubrange(offset..<offset + new.count, with: new)
  }
}

/// Any sectors of a change: none, all, the first ones, or some here and there.
private func applyInPart(
  _ change: FaultyDisk.Change,
  _ bytes: inout [UInt8],
  _ random: inout Seeded
) {
  guard case .write(let offset, let new) = change else {
    if Bool.random(using: &random) { apply(change, &bytes) }
    return
  }
  switch Int.random(in: 0..<4, using: &random) {
  case 0: return
  case 1: apply(change, &bytes)
  case 2:
    let part = Int.random(in: 0...new.count, using: &random)
    apply(.write(offset: offset, bytes: Array(new.prefix(part))), &bytes)
  default:
    // Small sectors, so that small test records are torn apart too.
    for start in stride(from: 0, to: new.count, by: 64) where Bool.random(using: &random) {
      let part = Array(new[start..<min(start + 64, new.count)])
      apply(.write(offset: offset + start, bytes: part), &bytes)
    }
  }
}

private final class FaultyFile: LogFile {
  private let disk: FaultyDisk
  private let inode: Int

  init(_ disk: FaultyDisk, _ inode: Int) {
    self.disk = disk
    self.inode = inode
  }

  func size(_ call: LogCall) throws(SystemError) -> Int {
    try disk.enter(call, "fstat")
    return disk.state.withLock { $0.inodes[inode]?.current.count ?? 0 }
  }

  func read(at offset: Int, count: Int, _ call: LogCall) throws(SystemError) -> [UInt8] {
    try disk.enter(call, "pread")
    return disk.state.withLock {
      Array(($0.inodes[inode]?.current ?? []).dropFirst(offset).prefix(count))
    }
  }

  func write(_ bytes: [UInt8], at offset: Int, _ call: LogCall) throws(SystemError) {
    do throws(SystemError) { try disk.enter(call, "pwrite") } catch {
      change(.write(offset: offset, bytes: Array(bytes.prefix(bytes.count / 2))))
      throw error
    }
    change(.write(offset: offset, bytes: bytes))
  }

  func truncate(to size: Int, _ call: LogCall) throws(SystemError) {
    try disk.enter(call, "ftruncate")
    change(.truncate(size))
  }

  private func change(_ change: FaultyDisk.Change) {
    disk.state.withLock { state in
      // Once the power is gone nothing changes any more.
      if let left = state.crashAfter, left < -1 { return }
      guard var content = state.inodes.removeValue(forKey: inode) else { return }
      apply(change, &content.current)
      content.unsynced.append(change)
      state.inodes[inode] = content
    }
  }

  func sync(_ call: LogCall) throws(SystemError) {
    do throws(SystemError) { try disk.enter(call, "fdatasync") } catch {
      disk.state.withLock { state in
        // The kernel marks the pages clean: what did not reach the disk never will.
        guard state.crashAfter.map({ $0 >= 0 }) ?? true else { return }
        guard var content = state.inodes.removeValue(forKey: inode) else { return }
        for change in content.unsynced {
          applyInPart(change, &content.durable, &state.random)
        }
        content.unsynced = []
        state.inodes[inode] = content
      }
      throw error
    }
    disk.state.withLock { state in
      guard var content = state.inodes.removeValue(forKey: inode) else { return }
      for change in content.unsynced { apply(change, &content.durable) }
      content.unsynced = []
      state.inodes[inode] = content
    }
  }
}
