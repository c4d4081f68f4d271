import JSON
import KafkaClient
import Plugin

/// How far one partition has been read, by what is on the log.
struct KafkaPosition: Equatable {
  /// The offset of the first message that is not on the log.
  var next: Int64
  /// How often the partition was created anew under our eyes.
  var epoch: Int

  /// Accounts for the message at `offset` and all before it.
  /// - Returns: false for one that is on the log.
  mutating func take(_ offset: Int64) -> Bool {
    guard offset >= next else { return false }
    next = offset + 1
    return true
  }
}

/// Where reading begins in a partition, and what has to be said about it.
struct KafkaStart: Equatable {
  enum Notice: Equatable {
    /// The partition ends before our position: it was created anew.
    case reset(before: Int64, end: Int64)
    /// Messages from our position up to where the partition begins now are gone.
    case gap(from: Int64, to: Int64)
  }

  var position: KafkaPosition
  /// Whether `position` has to be noted before anything is read.
  var isNew: Bool
  var notice: Notice?
}

/// The positions of a source: a fold over its places on the log. Pure.
struct KafkaPositions {
  private(set) var known: [KafkaPartition: KafkaPosition] = [:]

  /// - Parameter places: what the source noted, `<topic>/<partition>` to `{"next": N, "epoch": N}`.
  init(places: [String: JSON]) {
    for (key, value) in places {
      guard let slash = key.lastIndex(of: "/"),
        let partition = Int32(key[key.index(after: slash)...]),
        case .number(let next)? = value["next"], let next = Int64(next)
      else { continue }
      var epoch = 0
      if case .number(let text)? = value["epoch"] { epoch = Int(text) ?? 0 }
      known[KafkaPartition(topic: String(key[..<slash]), partition: partition)] =
        KafkaPosition(next: next, epoch: epoch)
    }
  }

  /// Decides where to read from.
  /// - Parameter fromOldest: where there is neither a position nor a commit: from the first
  ///   message that is left, instead of from the next that comes.
  func start(_ place: KafkaPartition, _ marks: KafkaMarks, fromOldest: Bool) -> KafkaStart {
    let own = known[place]
    guard let wanted = [own?.next, marks.committed].compactMap({ $0 }).max() else {
      let next = fromOldest ? marks.low : marks.high
      return KafkaStart(position: KafkaPosition(next: next, epoch: 0), isNew: true)
    }
    let epoch = own?.epoch ?? 0
    if marks.high < wanted {
      return KafkaStart(
        position: KafkaPosition(next: marks.low, epoch: epoch + 1),
        isNew: true,
        notice: .reset(before: wanted, end: marks.high)
      )
    }
    if wanted < marks.low {
      return KafkaStart(
        position: KafkaPosition(next: marks.low, epoch: epoch),
        isNew: true,
        notice: .gap(from: wanted, to: marks.low)
      )
    }
    let position = KafkaPosition(next: wanted, epoch: epoch)
    return KafkaStart(position: position, isNew: position != own)
  }

  /// What is known of `place`; where that is nothing, every message of it is new.
  func position(of place: KafkaPartition) -> KafkaPosition {
    known[place] ?? KafkaPosition(next: 0, epoch: 0)
  }

  mutating func set(_ place: KafkaPartition, _ position: KafkaPosition) { known[place] = position }

  /// What is noted on the log of these partitions.
  func places(of partitions: some Sequence<KafkaPartition>) -> [SourcePlace] {
    partitions.compactMap { place in
      known[place].map { position in
        SourcePlace(
          key: place.description,
          value: [
            "next": .number(String(position.next)), "epoch": JSON(position.epoch),
          ]
        )
      }
    }
  }

  func offsets(of partitions: some Sequence<KafkaPartition>) -> [KafkaOffset] {
    partitions.compactMap { place in known[place].map { KafkaOffset(place, $0.next) } }
  }
}
