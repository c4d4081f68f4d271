package import Bus

extension EventLogReader {
  /// A pass over the records, one by one.
  package struct Pass {
    private let reader: EventLogReader
    private let start: Start
    private let files: [Found]
    private let seed: UInt32?
    private let total: Int
    /// The file that is read next.
    private var number: Int
    /// The one that is read now.
    private var scan: SegmentScan?
    private var from = 0
    private var at = 0
    /// The bytes of the files before it.
    private var done: Int

    /// What it found besides records so far; whole after the last one.
    package private(set) var report = Report()

    package var progress: Progress { Progress(done: done + at, total: total) }

    /// - Throws: `LogError` for a folder that cannot be read.
    package init(_ reader: EventLogReader, _ start: Start) throws(LogError) {
      self.reader = reader
      self.start = start
      files = try reader.list()
      total = files.reduce(0) { $0 + $1.size }
      seed = files.lazy.compactMap(\.header).first?.seed
      number = try reader.skipped(files, start)
      done = files.prefix(number).reduce(0) { $0 + $1.size }
    }

    /// The next record; nil behind the last.
    /// - Throws: `LogError` for files that cannot be read.
    package mutating func next() throws(LogError) -> Record? {
      while true {
        if scan == nil {
          guard number < files.count else { return nil }
          try begin(files[number])
        }
        while let (entry, frame) = try scan?.next() {
          at = entry.start
          if start.includes(entry) { return try Format.record(frame, in: scan?.bytes ?? []) }
        }
        end(files[number])
      }
    }

    /// The first offset behind the file that is read.
    private var following: UInt64? {
      number + 1 < files.count ? files[number + 1].firstOffset : nil
    }

    private mutating func begin(_ file: Found) throws(LogError) {
      guard let header = file.header ?? seed.map({ .init(firstOffset: file.firstOffset, seed: $0) })
      else {
        if file.size > Format.headerBytes {
          throw .unreadable("\(file.name): neither copy of its header can be read")
        }
        report.tailBytes = file.size
        return
      }
      let mark = reader.mark(file, header, following, start)
      from = mark.start
      scan = SegmentScan(
        file.name,
        file.file,
        header,
        size: file.size,
        from: mark,
        limit: following ?? .max,
        .openRead
      )
    }

    private mutating func end(_ file: Found) {
      if let scan {
        reader.note(scan, file, following, &report)
        report.scannedBytes += file.size - from
        report.end = Bookmark(
          firstOffset: file.firstOffset,
          mark: Segment.Mark(offset: scan.expected, start: scan.segment.length, time: .min)
        )
      }
      scan = nil
      at = 0
      done += file.size
      number += 1
    }
  }
}
