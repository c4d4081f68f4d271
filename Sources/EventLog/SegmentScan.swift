import Bus
import Event
import Posix

/// What reading one whole segment found.
struct SegmentScan {
  var segment: Segment
  /// Bytes behind `segment.length` that are no record and have none behind them.
  var tail = 0
  /// Of these, all but the zeros at the end, which were written ahead.
  var tornBytes = 0
  var damages: [Damage] = []
  private var walk: RecordWalk
  private let size: Int

  /// The offset that the record behind the last one should have.
  var expected: UInt64 { walk.expected }

  /// Begins to read a segment; `next` goes on.
  /// - Parameters:
  ///   - header: what its header says, or has to say where it is lost.
  ///   - mark: where to begin, and the offset that the record there should have.
  ///   - limit: the first offset that is not its own; `.max` for the last segment.
  init(
    _ name: String,
    _ file: any LogFile,
    _ header: Format.Header,
    size: Int,
    from mark: Segment.Mark,
    limit: UInt64,
    _ call: LogCall
  ) {
    segment = Segment(name: name, header: header, file: file)
    self.size = size
    walk = RecordWalk(
      file,
      call,
      header,
      from: mark.start,
      to: size,
      expected: mark.offset,
      limit: limit,
      pieceBytes: 1 << 20
    )
  }

  /// Reads it to its end.
  mutating func read(
    _ visit: (Segment.Entry) -> Void = { _ in }
  ) throws(LogError) {
    while let (entry, _) = try next() { visit(entry) }
  }

  /// What the ranges of the last frame are within.
  var bytes: [UInt8] { walk.bytes }

  /// The next record; nil at the end.
  mutating func next() throws(LogError) -> (entry: Segment.Entry, frame: Format.Frame)? {
    while true {
      let step: RecordWalk.Step
      do throws(SystemError) { step = try walk.next() } catch {
        throw LogError(error, segment.name)
      }
      switch step {
      case .record(let frame, let start):
        let entry = try Self.entry(frame, walk.bytes, at: start)
        segment.summary.note(entry)
        return (entry, frame)
      case .gap(let bytes, let offsets):
        damages.append(Damage(file: segment.name, bytes: bytes, offsets: offsets))
      case .end(let at):
        segment.length = min(at, max(size, Format.headerBytes))
        tail = max(0, size - at)
        do throws(SystemError) { tornBytes = try walk.bytesBeforeZeros() } catch {
          throw LogError(error, segment.name)
        }
        return nil
      }
    }
  }

  /// The records that are missing between this segment and one that begins with `next`; nil when
  /// none are, or when nobody knows because only some were kept.
  func missing(before next: UInt64?) -> Damage? {
    guard let next, expected < next, !segment.header.isKept else { return nil }
    let bytes = segment.length..<segment.length + tail
    return Damage(file: segment.name, bytes: bytes, offsets: expected..<next)
  }

  static func entry(
    _ frame: Format.Frame,
    _ bytes: [UInt8],
    at start: Int
  ) throws(LogError) -> Segment.Entry {
    var identity: Event.Identity?
    var isSnapshot = false
    switch frame.kind {
    case 1:
      do throws(Event.EncodingError) {
        identity = try Event.Identity(encoded: bytes[frame.payload])
      } catch { throw .newerVersion("the event at offset \(frame.offset): \(error)") }
    case 2: isSnapshot = bytes[frame.payload].first == Note.snapshotKind
    default: throw .newerVersion("record kind \(frame.kind) at offset \(frame.offset)")
    }
    return Segment.Entry(
      offset: frame.offset,
      start: start,
      time: frame.time,
      identity: identity,
      isSnapshot: isSnapshot
    )
  }
}
