package import Bus
package import Event
import Posix

/// Reads a log folder without its lock, while a server may be writing to it: for the command
/// line. It may see records that are written and not yet synced.
package struct EventLogReader: Sendable {
  let disk: any LogDisk

  package init(folder: String) { disk = FolderDisk(folder, isReadOnly: true) }

  package init(disk: any LogDisk) { self.disk = disk }

  /// Where a pass begins. What is before it is skipped with the help of the sparse index, or by
  /// the first record of each segment where there is none.
  package enum Start: Sendable {
    case first
    /// The records behind this one.
    case after(Position)
    /// The records that are not older than this log time.
    case since(Timestamp)
    /// What has come since another pass ended.
    case goingOn(Bookmark)
  }

  /// Where a pass ended.
  package struct Bookmark: Sendable, Equatable {
    let firstOffset: UInt64
    let mark: Segment.Mark
  }

  /// What a pass found besides its records.
  package struct Report: Equatable, Sendable {
    package var records = 0
    package var segments = 0
    package var damages: [Damage] = []
    /// Bytes at the end of the last segment that are no whole record: a torn tail, or a record
    /// that is being written.
    package var tailBytes = 0
    /// Where the next pass can go on; nil when there was nothing.
    package var end: Bookmark?
    /// Bytes that were read to find the records.
    package var scannedBytes = 0
  }

  /// How far a pass is, in bytes.
  package struct Progress: Sendable {
    package let done: Int
    package let total: Int

    package init(done: Int, total: Int) { (self.done, self.total) = (done, total) }
  }

  /// Calls `visit` for every record after `position`, in order.
  /// - Parameter progress: called now and then.
  /// - Throws: `LogError` for files that cannot be read.
  package func read(
    after position: Position? = nil,
    progress: (Progress) -> Void = { _ in },
    visit: (Record) -> Void
  ) throws(LogError) -> Report {
    try read(position.map { .after($0) } ?? .first, progress: progress, visit: visit)
  }

  /// Calls `visit` for every record from `start` on, in order.
  /// - Parameter progress: called now and then.
  /// - Throws: `LogError` for files that cannot be read.
  package func read(
    _ start: Start,
    progress: (Progress) -> Void = { _ in },
    visit: (Record) -> Void
  ) throws(LogError) -> Report {
    var pass = try Pass(self, start)
    var (shown, segments) = (0, 0)
    while let record = try pass.next() {
      visit(record)
      let now = pass.progress
      if now.done - shown > 1 << 20 || pass.report.segments > segments {
        (shown, segments) = (now.done, pass.report.segments)
        progress(now)
      }
    }
    progress(pass.progress)
    return pass.report
  }

  /// How many segments hold nothing that is wanted.
  func skipped(_ files: [Found], _ start: Start) throws(LogError) -> Int {
    var skipped = 0
    for (number, next) in files.enumerated().dropFirst() {
      switch start {
      case .first: return 0
      case .after(let position): if next.firstOffset > position.offset + 1 { return skipped }
      case .goingOn(let bookmark): if next.firstOffset > bookmark.firstOffset { return skipped }
      case .since(let time):
        // A segment that begins too early has only older ones before it.
        guard let first = try firstTime(next) else { continue }
        if first >= time.nanoseconds { return skipped }
      }
      skipped = number
    }
    return skipped
  }

  /// The log time of a segment's first record; nil where that cannot be read.
  private func firstTime(_ file: Found) throws(LogError) -> Int64? {
    guard let header = file.header else { return nil }
    do throws(SystemError) {
      var walk = RecordWalk(
        file.file,
        .openRead,
        header,
        from: Format.headerBytes,
        to: file.size,
        expected: header.firstOffset,
        limit: .max,
        pieceBytes: 4 << 10
      )
      guard case .record(let frame, _) = try walk.next() else { return nil }
      return frame.time
    } catch { throw LogError(error, file.name) }
  }

  /// Where to begin in a segment.
  func mark(
    _ file: Found,
    _ header: Format.Header,
    _ following: UInt64?,
    _ start: Start
  ) -> Segment.Mark {
    let first = Segment.beginning(header)
    if case .goingOn(let bookmark) = start {
      // Kept records take the place of a segment under its name.
      let isSame =
        bookmark.firstOffset == file.firstOffset && bookmark.mark.start <= file.size
        && !header.isKept
      return isSame ? bookmark.mark : first
    }
    if case .first = start { return first }
    guard following != nil,
      let index = SegmentIndex.load(disk, file.name, header, length: file.size)
    else { return first }
    var segment = Segment(name: file.name, header: header, file: file.file)
    segment.summary = index.summary
    switch start {
    case .after(let position): return segment.mark(after: position.offset)
    case .since(let time): return segment.lastMark { $0.time < time.nanoseconds } ?? first
    case .first, .goingOn: return first
    }
  }

  func note(
    _ scan: SegmentScan,
    _ file: Found,
    _ following: UInt64?,
    _ report: inout Report
  ) {
    report.segments += 1
    report.records += scan.segment.summary.records
    if file.header == nil && file.size > Format.headerBytes {
      report.damages.append(
        Damage(
          file: file.name,
          bytes: 0..<Format.headerBytes,
          offsets: file.firstOffset..<file.firstOffset
        )
      )
    }
    report.damages += scan.damages
    if following == nil { report.tailBytes = scan.tornBytes }
    if let damage = scan.missing(before: following) { report.damages.append(damage) }
  }

  struct Found {
    let name: String
    let firstOffset: UInt64
    let file: any LogFile
    let size: Int
    /// nil where neither copy holds.
    let header: Format.Header?
  }

  /// The segments, in order. One that retention removes meanwhile is left out.
  func list() throws(LogError) -> [Found] {
    let names: [String]
    do throws(SystemError) { names = try disk.list(.openList) } catch {
      throw LogError(error, "the log's folder")
    }
    var found: [Found] = []
    for name in names {
      guard let first = Format.firstOffset(ofName: name) else { continue }
      let file: any LogFile
      let size: Int
      let bytes: [UInt8]
      do throws(SystemError) {
        file = try disk.open(name, create: false, .openSegment)
        size = try file.size(.openSize)
        bytes = try file.read(at: 0, count: Format.headerBytes, .openReadHeader)
      } catch {
        if error.isMissing { continue }
        throw LogError(error, name)
      }
      var header = try Format.header(bytes, name)
      if header?.firstOffset != first { header = nil }
      found.append(
        Found(name: name, firstOffset: first, file: file, size: size, header: header)
      )
    }
    return found
  }
}

extension EventLogReader.Start {
  /// Whether a record that is found on the way is wanted.
  func includes(_ entry: Segment.Entry) -> Bool {
    switch self {
    case .first: true
    case .after(let position): position.offset < entry.offset
    case .since(let time): time.nanoseconds <= entry.time
    case .goingOn(let bookmark): bookmark.mark.offset <= entry.offset
    }
  }
}
