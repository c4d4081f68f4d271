package import Bus
import Event
import Posix

/// Reads a log folder without its lock, while a server may be writing to it: for the command
/// line. It may see records that are written and not yet synced.
package struct EventLogReader: Sendable {
  private let disk: any LogDisk

  package init(folder: String) { disk = FolderDisk(folder, isReadOnly: true) }

  /// What a pass over all segments found besides its records.
  package struct Report: Equatable, Sendable {
    package var records = 0
    package var segments = 0
    package var damages: [Damage] = []
    /// Bytes at the end of the last segment that are no whole record: a torn tail, or a record
    /// that is being written.
    package var tailBytes = 0
  }

  /// Calls `visit` for every record after `position`, in order.
  /// - Throws: `LogError` for files that cannot be read.
  package func read(
    after position: Position? = nil,
    visit: (Record) -> Void
  ) throws(LogError) -> Report {
    var report = Report()
    let names: [String]
    do throws(SystemError) {
      names = try disk.list().filter { Format.firstOffset(ofName: $0) != nil }
    } catch { throw .system("\(error)") }
    var next: UInt64?
    for (number, name) in names.enumerated() {
      let first = Format.firstOffset(ofName: name) ?? 0
      // A segment whose successor starts at or before the wanted place holds nothing new.
      if number + 1 < names.count, let position,
        let following = Format.firstOffset(ofName: names[number + 1]),
        following <= position.offset + 1
      {
        next = following
        continue
      }
      let file: any LogFile
      do throws(SystemError) { file = try disk.open(name, create: false) } catch {
        throw .system("\(error)")
      }
      let scan = try SegmentScan(name, file, firstOffset: first, expected: next ?? first) {
        (record) throws(LogError) in
        if position.map({ $0 < record.position }) ?? true { visit(record) }
      }
      report.segments += 1
      report.records += scan.records
      report.damages += scan.damages
      if let last = scan.lastOffset { next = last + 1 }
      if name == names.last {
        report.tailBytes = scan.tail
      } else if scan.tail > 0 {
        let start = scan.segment.length
        report.damages.append(
          Damage(file: name, bytes: start..<start + scan.tail, offsets: 0..<0)
        )
      }
    }
    return report
  }
}
