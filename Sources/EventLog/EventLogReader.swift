package import Bus
import Event
import Posix

/// Reads a log folder without its lock, while a server may be writing to it: for the command
/// line. It may see records that are written and not yet synced.
package struct EventLogReader: Sendable {
  let disk: any LogDisk

  package init(folder: String) { disk = FolderDisk(folder, isReadOnly: true) }

  package init(disk: any LogDisk) { self.disk = disk }

  /// What a pass over all segments found besides its records.
  package struct Report: Equatable, Sendable {
    package var records = 0
    package var segments = 0
    package var damages: [Damage] = []
    /// Bytes at the end of the last segment that are no whole record: a torn tail, or a record
    /// that is being written.
    package var tailBytes = 0
  }

  /// How far a pass is, in bytes.
  package struct Progress: Sendable {
    package let done: Int
    package let total: Int
  }

  /// Calls `visit` for every record after `position`, in order.
  /// - Parameter progress: called now and then.
  /// - Throws: `LogError` for files that cannot be read.
  package func read(
    after position: Position? = nil,
    progress: (Progress) -> Void = { _ in },
    visit: (Record) -> Void
  ) throws(LogError) -> Report {
    var report = Report()
    let files = try list()
    let total = files.reduce(0) { $0 + $1.size }
    let seed = files.lazy.compactMap(\.header).first?.seed
    var done = 0
    for (number, file) in files.enumerated() {
      let following = number + 1 < files.count ? files[number + 1].firstOffset : nil
      // A segment whose successor begins at or before the wanted place holds nothing new.
      if let following, let position, following > 0, following - 1 <= position.offset {
        done += file.size
        continue
      }
      guard let header = file.header ?? seed.map({ .init(firstOffset: file.firstOffset, seed: $0) })
      else {
        if file.size > Format.headerBytes {
          throw .unreadable("\(file.name): neither copy of its header can be read")
        }
        report.tailBytes = file.size
        continue
      }
      var bytes = done
      let scan = try SegmentScan(
        file.name,
        file.file,
        header,
        size: file.size,
        expected: header.firstOffset,
        limit: following ?? .max,
        .openRead
      ) { (entry, frame, chunk) throws(LogError) in
        if position.map({ $0.offset < entry.offset }) ?? true {
          visit(try Format.record(frame, in: chunk))
        }
        if done + entry.start - bytes > 1 << 20 {
          bytes = done + entry.start
          progress(Progress(done: bytes, total: total))
        }
      }
      note(scan, file, following, &report)
      done += file.size
      progress(Progress(done: done, total: total))
    }
    return report
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
    if following == nil { report.tailBytes = scan.tail }
    if let damage = scan.segment.missing(tail: scan.tail, before: following) {
      report.damages.append(damage)
    }
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
