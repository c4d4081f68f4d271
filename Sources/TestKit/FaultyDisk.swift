package import EventLog
import Glibc
package import Posix
import Synchronization

/// A disk in memory that fails when told to and forgets, as a real one does, what was not synced.
package final class FaultyDisk: LogDisk {
  /// The next call of a kind that fails, and how.
  package enum Fault: Sendable, Equatable {
    /// The write stores a part and answers this `errno`.
    case write(Int32)
    case sync(Int32)
    case truncate(Int32)
  }

  fileprivate struct Content {
    var current: [UInt8] = []
    var durable: [UInt8] = []
    /// Writes since the last sync.
    var unsynced: [(offset: Int, bytes: [UInt8])] = []
    var isNameDurable = false
  }

  fileprivate struct State {
    var files: [String: Content] = [:]
    var faults: [(after: Int, fault: Fault)] = []
    var hits: [String: Int] = [:]
    var syncs = 0
  }

  fileprivate let state = Mutex(State())

  package init() {}

  /// Lets the call after `skipping` calls of the fault's kind fail, once.
  package func inject(_ fault: Fault, skipping: Int = 0) {
    state.withLock { $0.faults.append((skipping, fault)) }
  }

  package func clearFaults() { state.withLock { $0.faults = [] } }

  /// How often each kind of fault was met.
  package var hits: [String: Int] { state.withLock { $0.hits } }

  package var syncCount: Int { state.withLock { $0.syncs } }

  /// The bytes of a file as they are now.
  package subscript(name: String) -> [UInt8] {
    get { state.withLock { $0.files[name]?.current ?? [] } }
    set {
      state.withLock {
        $0.files[name] = Content(current: newValue, durable: newValue, isNameDurable: true)
      }
    }
  }

  /// What is left after the power failed: synced bytes, and of the rest any part.
  package func crashed(_ seed: UInt64) -> FaultyDisk {
    var random = Seeded(seed)
    let after = FaultyDisk()
    let files = state.withLock { $0.files }
    for (name, content) in files.sorted(by: { $0.key < $1.key }) {
      if !content.isNameDurable && Bool.random(using: &random) { continue }
      var bytes = content.durable
      for write in content.unsynced {
        switch Int.random(in: 0..<3, using: &random) {
        case 0: continue
        case 1: overwrite(&bytes, write.offset, write.bytes)
        default:
          let part = Int.random(in: 0...write.bytes.count, using: &random)
          overwrite(&bytes, write.offset, Array(write.bytes.prefix(part)))
        }
      }
      after[name] = bytes
    }
    return after
  }

  package func list() throws(SystemError) -> [String] {
    state.withLock { $0.files.keys.sorted() }
  }

  package func open(_ name: String, create: Bool) throws(SystemError) -> any LogFile {
    let isThere = state.withLock { state in
      let isThere = state.files[name] != nil
      if create && !isThere { state.files[name] = Content() }
      return isThere
    }
    if create && isThere { throw SystemError("open", name, code: EEXIST) }
    if !create && !isThere { throw SystemError("open", name, code: ENOENT) }
    return FaultyFile(self, name)
  }

  package func syncFolder() throws(SystemError) {
    state.withLock { state in
      for name in state.files.keys { state.files[name]?.isNameDurable = true }
    }
  }

  fileprivate func fault(_ kind: String, _ matches: (Fault) -> Int32?) -> Int32? {
    state.withLock { state in
      for index in state.faults.indices {
        guard let code = matches(state.faults[index].fault) else { continue }
        if state.faults[index].after > 0 {
          state.faults[index].after -= 1
          return nil
        }
        state.faults.remove(at: index)
        state.hits[kind, default: 0] += 1
        return code
      }
      return nil
    }
  }
}

private func overwrite(_ bytes: inout [UInt8], _ offset: Int, _ new: [UInt8]) {
  if bytes.count < offset + new.count {
    bytes += [UInt8](repeating: 0, count: offset + new.count - bytes.count)
  }
  bytes.replaceSubrange(offset..<offset + new.count, with: new)
}

private final class FaultyFile: LogFile {
  private let disk: FaultyDisk
  private let name: String

  init(_ disk: FaultyDisk, _ name: String) {
    self.disk = disk
    self.name = name
  }

  func size() throws(SystemError) -> Int { disk[name].count }

  func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8] {
    Array(disk[name].dropFirst(offset).prefix(count))
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(SystemError) {
    let code = disk.fault("write") { fault in
      if case .write(let code) = fault { code } else { nil }
    }
    let stored = code == nil ? bytes : Array(bytes.prefix(bytes.count / 2))
    disk.state.withLock { state in
      guard var content = state.files[name] else { return }
      overwrite(&content.current, offset, stored)
      content.unsynced.append((offset, stored))
      state.files[name] = content
    }
    if let code { throw SystemError("pwrite", name, code: code) }
  }

  func sync() throws(SystemError) {
    let code = disk.fault("sync") { if case .sync(let code) = $0 { code } else { nil } }
    if let code { throw SystemError("fdatasync", name, code: code) }
    disk.state.withLock { state in
      state.syncs += 1
      guard let content = state.files[name] else { return }
      state.files[name]?.durable = content.current
      state.files[name]?.unsynced = []
    }
  }

  func truncate(to size: Int) throws(SystemError) {
    let code = disk.fault("truncate") { if case .truncate(let code) = $0 { code } else { nil } }
    if let code { throw SystemError("ftruncate", name, code: code) }
    disk.state.withLock { state in
      guard let current = state.files[name]?.current else { return }
      state.files[name]?.current = Array(current.prefix(size))
      // As if synced at once: a torn truncation leaves a torn tail, which is tested by itself.
      state.files[name]?.durable = Array(current.prefix(size))
      state.files[name]?.unsynced = []
    }
  }
}
