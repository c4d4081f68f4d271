import Glibc
import Posix

extension EventLogReader {
  /// Copies the whole records of the log, which a server may be writing to, into `folder`, which
  /// then is a log folder of its own. Indexes are made when it is opened.
  /// - Parameter progress: called now and then.
  /// - Returns: what was copied, and the damage that was copied along.
  /// - Throws: `LogError`; a folder that holds a log already is refused.
  package func backup(
    to folder: String,
    progress: (Progress) -> Void = { _ in }
  ) throws(LogError) -> Report {
    let target = FolderDisk(folder)
    do throws(SystemError) {
      try Files.makeFolder(folder)
      let isTaken = try Files.list(folder).contains { Format.firstOffset(ofName: $0) != nil }
      if isTaken { throw SystemError("open", folder, code: EEXIST) }
    } catch { throw LogError(error, "backup") }
    let files = try stableList()
    let total = files.reduce(0) { $0 + $1.size }
    var report = Report()
    var done = 0
    for (number, file) in files.enumerated() {
      guard let header = file.header else {
        throw .unreadable("\(file.name): neither copy of its header can be read")
      }
      let following = number + 1 < files.count ? files[number + 1].firstOffset : nil
      var scan = SegmentScan(
        file.name,
        file.file,
        header,
        size: file.size,
        from: Segment.beginning(header),
        limit: following ?? .max,
        .openRead
      )
      try scan.read()
      note(scan, file, following, &report)
      do throws(SystemError) {
        try copy(file, scan.segment.length, to: target) {
          progress(Progress(done: done + $0, total: total))
        }
      } catch { throw LogError(error, file.name) }
      done += file.size
    }
    do throws(SystemError) { try target.syncFolder(.keepFolder) } catch {
      throw LogError(error, folder)
    }
    return report
  }

  /// The segments of one moment: listed again until nothing was removed meanwhile.
  private func stableList() throws(LogError) -> [Found] {
    for _ in 0..<20 {
      let found = try list()
      let names = Set(try list().map(\.name))
      if found.allSatisfy({ names.contains($0.name) }) { return found }
    }
    throw .system("segments keep being removed while they are listed; try again")
  }

  private func copy(
    _ file: Found,
    _ length: Int,
    to target: FolderDisk,
    _ progress: (Int) -> Void
  ) throws(SystemError) {
    let temporary = file.name + Format.unfinishedSuffix
    try target.remove(temporary, .keepCreate)
    let new = try target.open(temporary, create: true, .keepCreate)
    var at = 0
    while at < length {
      let bytes = try file.file.read(at: at, count: min(1 << 20, length - at), .keepRead)
      if bytes.isEmpty { throw SystemError("pread", file.name, code: EIO) }
      try new.write(bytes, at: at, .keepWrite)
      at += bytes.count
      progress(at)
    }
    try new.sync(.keepSync)
    try target.rename(temporary, to: file.name, .keepRename)
  }
}
