import Glibc
import Posix

/// Watches a folder, and those below it where that is wanted, and says what happens to files in
/// terms of their paths now. A folder that is renamed takes its watches along; one that is gone,
/// the first included, is watched again when it is back.
struct FileWatch: ~Copyable {
  struct Event: Equatable {
    /// Below the directory.
    let path: String
    let change: FileChange
  }

  /// What was read at once.
  struct Batch {
    var events: [Event] = []
    /// The kernel had to drop news.
    var hasLost = false
    /// The directory itself is no longer there.
    var isGone = false
  }

  private static let mask =
    UInt32(IN_CREATE) | UInt32(IN_MODIFY) | UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM)
    | UInt32(IN_MOVED_TO) | UInt32(IN_ATTRIB) | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF)
  private static let deepest = 64

  private let directory: String
  private let isRecursive: Bool
  private let inotify: Inotify
  /// The paths of watched folders below the directory; the directory's own is empty.
  private var folders: [Int32: String]

  var raw: Int32 { inotify.raw }

  /// - Throws: `SystemError` when the directory is not there or cannot be watched.
  init(_ directory: String, isRecursive: Bool) throws(SystemError) {
    let inotify = try Inotify()
    let root = try inotify.watch(directory, Self.mask)
    self.directory = directory
    self.isRecursive = isRecursive
    self.inotify = inotify
    folders = [root: ""]
    if isRecursive {
      var ignored: [Event] = []
      addBelow("", depth: 0, &ignored)
    }
  }

  /// Watches the folders below one, and tells what lies in them: it came before the watch did.
  private mutating func addBelow(_ folder: String, depth: Int, _ found: inout [Event]) {
    let names = (try? Files.list(absolute(folder))) ?? []
    for name in names {
      let path = folder.isEmpty ? name : folder + "/" + name
      found.append(Event(path: path, change: .create))
      add(path, depth: depth + 1, &found)
    }
  }

  private mutating func add(_ path: String, depth: Int, _ found: inout [Event]) {
    var status = stat()
    guard depth < Self.deepest, unsafe lstat(absolute(path), &status) == 0,
      status.st_mode & S_IFMT == S_IFDIR
    else { return }
    // Gone again, or too many: what happens in it is not told, as in a folder nobody watches.
    guard let watch = try? inotify.watch(absolute(path), Self.mask) else { return }
    folders[watch] = path
    addBelow(path, depth: depth, &found)
  }

  private func absolute(_ path: String) -> String {
    path.isEmpty ? directory : directory == "/" ? "/" + path : directory + "/" + path
  }

  /// Everything there is, repetitions next to each other told once.
  mutating func read() throws(SystemError) -> Batch {
    var batch = Batch()
    while true {
      let news = try inotify.read()
      if news.isEmpty { break }
      for one in news { take(one, &batch) }
    }
    var told: [Event] = []
    for event in batch.events {
      // A program that writes in pieces makes one change.
      if event.change == .write, told.last(where: { $0.path == event.path })?.change == .write {
        continue
      }
      told.append(event)
    }
    batch.events = told
    return batch
  }

  private mutating func take(_ news: Inotify.News, _ batch: inout Batch) {
    func has(_ flag: Int32) -> Bool { news.mask & UInt32(bitPattern: flag) != 0 }
    if has(Int32(IN_Q_OVERFLOW)) {
      batch.hasLost = true
      return
    }
    guard let folder = folders[news.watch] else { return }
    if news.name.isEmpty {
      if folder.isEmpty, has(Int32(IN_DELETE_SELF)) || has(Int32(IN_MOVE_SELF)) {
        batch.isGone = true
      }
      if has(Int32(IN_IGNORED)) { folders[news.watch] = nil }
      return
    }
    let path = folder.isEmpty ? news.name : folder + "/" + news.name
    let isFolder = has(Int32(bitPattern: UInt32(IN_ISDIR)))
    if isFolder, isRecursive, has(Int32(IN_MOVED_FROM)) { forget(path) }
    let changes: [(Int32, FileChange)] = [
      (Int32(IN_CREATE), .create), (Int32(IN_MOVED_TO), .create), (Int32(IN_MODIFY), .write),
      (Int32(IN_DELETE), .remove), (Int32(IN_MOVED_FROM), .rename), (Int32(IN_ATTRIB), .chmod),
    ]
    for (flag, change) in changes where has(flag) {
      batch.events.append(Event(path: path, change: change))
    }
    if isFolder, isRecursive, has(Int32(IN_CREATE)) || has(Int32(IN_MOVED_TO)) {
      add(path, depth: path.split(separator: "/").count, &batch.events)
    }
  }

  /// A folder went elsewhere, with everything below it.
  private mutating func forget(_ path: String) {
    for (watch, folder) in folders where folder == path || folder.hasPrefix(path + "/") {
      inotify.unwatch(watch)
      folders[watch] = nil
    }
  }
}
