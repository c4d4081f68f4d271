package import Bus
package import EventLog

/// A pass over the records of several logs in the order of log time, those of each in their own.
package struct MergedPass {
  private struct Line {
    let part: DataFolder.Part
    var pass: EventLogReader.Pass
    var next: Record?

    mutating func advance() throws(LogError) {
      do throws(LogError) { next = try pass.next() } catch { throw error.of(part) }
    }
  }

  private var lines: [Line] = []
  /// The one whose record was given last.
  private var last: Int?

  /// - Throws: `LogError` for a folder that cannot be read.
  package init(
    _ parts: [DataFolder.Part],
    from start: (DataFolder.Part) -> EventLogReader.Start
  ) throws(LogError) {
    for part in parts {
      let pass: EventLogReader.Pass
      do throws(LogError) {
        pass = try EventLogReader.Pass(EventLogReader(folder: part.log), start(part))
      } catch { throw error.of(part) }
      lines.append(Line(part: part, pass: pass))
    }
    // The last one waits until it is asked for: one log is not read further than it is shown.
    for index in lines.indices.dropLast() { try lines[index].advance() }
    last = lines.indices.last
  }

  /// The next record; nil behind the last of all.
  /// - Throws: `LogError` for files that cannot be read.
  package mutating func next() throws(LogError) -> (part: DataFolder.Part, record: Record)? {
    if let last { try lines[last].advance() }
    last = nil
    for index in lines.indices {
      guard let time = lines[index].next?.time else { continue }
      if let first = last, let least = lines[first].next?.time, least <= time { continue }
      last = index
    }
    guard let last, let record = lines[last].next else { return nil }
    return (lines[last].part, record)
  }

  /// What was found besides records so far, by log.
  package var reports: [(part: DataFolder.Part, report: EventLogReader.Report)] {
    lines.map { ($0.part, $0.pass.report) }
  }

  /// How far it is with all of them.
  package var progress: EventLogReader.Progress {
    lines.map(\.pass.progress).reduce(.init(done: 0, total: 0)) {
      .init(done: $0.done + $1.done, total: $0.total + $1.total)
    }
  }
}

extension LogError {
  /// Says which of several logs it is about.
  fileprivate func of(_ part: DataFolder.Part) -> LogError {
    part.partition == nil ? self : .unreadable(part.prefix + description)
  }
}
