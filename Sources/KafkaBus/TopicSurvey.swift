import Bus
import EventLog

/// What a topic holds, beside a folder whose log is to be moved to it.
struct TopicSurvey {
  enum State: Equatable {
    case empty
    /// The beginning of a log whose move was not finished.
    case part
    case whole
  }

  private let name: String
  private let folderLast: UInt64
  private var folder: FolderCursor
  private var assembly = RecordAssembly(isAmid: false)
  private var isPart = false
  private var wasMoved = false
  /// Whether a program has begun on what the topic holds, after it was whole.
  private(set) var hasBegun = false
  /// Records that both hold, equal ones.
  private(set) var common = 0
  /// The first record that is another one in the folder.
  private(set) var different: UInt64?
  /// The topic's first record, where it was shortened to begin with it.
  private var shortenedTo: UInt64?

  /// - Parameter name: the topic's.
  init(_ log: EventLog, topic name: String) {
    self.name = name
    folderLast = log.committed?.offset ?? 0
    folder = FolderCursor(log)
  }

  /// The topic's last record; 0: it has none.
  var last: UInt64 { assembly.last ?? 0 }

  var state: State {
    if isPart { return .part }
    return last == 0 && !wasMoved ? .empty : .whole
  }

  /// Reads the topic, as long as it may be that of the folder.
  mutating func take(_ walk: inout TopicWalk) async throws {
    try await walk.begin()
    let isShortened = walk.low > 0
    while different == nil, let found = try await walk.next() {
      for (place, message) in found where different == nil {
        if isShortened, shortenedTo == nil, case .part(let offset, _, _) = message {
          shortenedTo = offset
        }
        try take(message, at: place)
      }
    }
  }

  private mutating func take(_ message: ReplicaMessage, at place: Int64) throws {
    switch message {
    case .moving: (isPart, hasBegun) = (true, false)
    case .moved: (isPart, hasBegun, wasMoved) = (false, false, true)
    // The records of a move's transaction stand before the word that they are a part.
    case .mark, .part: if !isPart { hasBegun = true }
    case .look, .gap: break
    }
    guard let record = try assembly.take(message, at: place)?.record() else { return }
    // Records that nobody needed any longer have left the folder.
    guard let own = try folder.record(at: record.position) else { return }
    if own == record { common += 1 } else { different = record.position.offset }
  }

  /// Whether the topic was shortened past all that the folder has: a program has begun on it, and
  /// nothing tells of which log it is.
  var isBeyond: Bool { shortenedTo.map { $0 > folderLast } ?? false }

  /// Why the topic's log is not the folder's; nil: it may be, or there is none.
  var otherLog: KafkaBusError? {
    if let different {
      return .mismatch(
        "record \(different) of the topic \(name) is not that of the folder: the topic holds "
          + "another log; name another topic in the EventBus, or delete this one"
      )
    }
    if isBeyond, let shortenedTo {
      return .mismatch(
        "the topic \(name) was shortened and begins with record \(shortenedTo), the folder ends with "
          + "\(folderLast): nothing shows that they are of one log; name another topic in the "
          + "EventBus, or, if the folder was moved to this one, go on with an empty folder"
      )
    }
    guard last > 0, common == 0 else { return nil }
    return .mismatch(
      "the topic \(name) holds records up to \(last) and none that the folder still has: nothing "
        + "shows that they are of one log; name another topic in the EventBus, or delete this one"
    )
  }
}

/// Finds records of a folder, one behind the other, without looking for each anew.
private struct FolderCursor {
  private let log: EventLog
  private var records: ArraySlice<Record> = []

  init(_ log: EventLog) { self.log = log }

  mutating func record(at position: Position) throws(BusError) -> Record? {
    while let first = records.first, first.position < position { records.removeFirst() }
    if records.isEmpty {
      let before = Position(offset: position.offset - 1)
      records = try log.read(after: before, limit: 1000, bytes: 4 << 20)[...]
    }
    return records.first.flatMap { $0.position == position ? $0 : nil }
  }
}
