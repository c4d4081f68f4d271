import Bus
import Event
import Posix

/// What the files of a log hold, read once when it is opened for writing. Cuts a torn tail.
struct Opening {
  private(set) var segments: [Segment] = []
  private(set) var index: [Event.Identity: UInt64] = [:]
  private(set) var nextOffset: UInt64 = 1
  private(set) var lastTime: Int64 = .min
  private(set) var recovery = EventLog.Recovery()
  var lastOffset: UInt64? { recovery.records == 0 ? nil : nextOffset - 1 }

  init(_ disk: any LogDisk) throws(LogError) {
    do throws(SystemError) {
      let names = try disk.list().filter { Format.firstOffset(ofName: $0) != nil }
      for name in names {
        do throws(LogError) { try read(disk, name, isLast: name == names.last) } catch {
          throw SystemError("open", "\(error)", code: 0)
        }
      }
    } catch {
      // Errors of `read` travel in the subject, with no code.
      if error.code == 0 { throw .system(error.subject) }
      throw .system("\(error)")
    }
  }

  private mutating func read(
    _ disk: any LogDisk,
    _ name: String,
    isLast: Bool
  ) throws(LogError) {
    let firstOffset = Format.firstOffset(ofName: name) ?? 0
    do throws(SystemError) {
      let file = try disk.open(name, create: false)
      if recovery.segments == 0 { nextOffset = firstOffset }
      var index = index
      self.index = [:]
      let scan: SegmentScan
      do throws(LogError) {
        scan = try SegmentScan(
          name,
          file,
          firstOffset: firstOffset,
          expected: nextOffset
        ) { (record) throws(LogError) in
          if case .event(let event) = record.content, index[event.identity] == nil {
            index[event.identity] = record.position.offset
          }
        }
      } catch { throw SystemError("open", "\(error)", code: 0) }
      self.index = index
      recovery.segments += 1
      recovery.records += scan.records
      recovery.damages += scan.damages
      if let last = scan.lastOffset { nextOffset = last + 1 }
      lastTime = max(lastTime, scan.lastTime)
      var segment = scan.segment
      if scan.tail > 0 {
        if isLast {
          recovery.cutBytes = scan.tail
          if segment.length < Format.headerBytes {
            // Torn while it was made: nothing in it was ever acknowledged.
            try file.truncate(to: 0)
            try file.write(Format.header(firstOffset: firstOffset), at: 0)
            segment.length = Format.headerBytes
          } else {
            try file.truncate(to: segment.length)
          }
        } else {
          let end = segment.length + scan.tail
          recovery.damages.append(
            Damage(file: name, bytes: segment.length..<end, offsets: nextOffset..<nextOffset)
          )
        }
      } else if segment.length < Format.headerBytes {
        try file.write(Format.header(firstOffset: firstOffset), at: 0)
        segment.length = Format.headerBytes
      }
      // What a crash left in the page cache is served only once it is on the disk.
      if isLast { try file.sync() }
      segments.append(segment)
    } catch {
      if error.code == 0 { throw .system(error.subject) }
      throw .system("\(name): \(error)")
    }
  }
}
