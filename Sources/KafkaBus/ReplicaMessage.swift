import EventLog

/// A message on the topic of a bus. All numbers are little-endian.
///
///     version (1): 1
///     kind (1): 1 a part of a record, 2 the last part of a record, 3 a new owner's mark
///     of a record: its position (8), then bytes of its body, at most `partBytes`
///     of a mark: nothing; it only shows that everything before it has been read
///
/// The parts of a record follow one another. A record's body is that of the embedded log: time,
/// kind, payload (EventLog's Format). All records of a transaction can be read, or none.
package enum ReplicaMessage: Equatable, Sendable {
  case part(offset: UInt64, isLast: Bool, bytes: [UInt8])
  case mark

  /// So that the usual limit of 1 MB for a message never matters.
  package static let partBytes = 512 << 10
  private static let version: UInt8 = 1

  package var encoded: [UInt8] {
    switch self {
    case .mark: return [Self.version, 3]
    case .part(let offset, let isLast, let bytes):
      var out = [Self.version, isLast ? 2 : 1]
      out.reserveCapacity(10 + bytes.count)
      for byte in 0..<8 { out.append(UInt8(truncatingIfNeeded: offset >> (8 * byte))) }
      return out + bytes
    }
  }

  /// - Parameter value: a message's; nil is a tombstone, which the topic never has.
  /// - Throws: `KafkaBusError.message`.
  package init(parsing value: [UInt8]?, at place: Int64) throws(KafkaBusError) {
    guard let value, value.count >= 2 else {
      throw .message("message \(place) of the topic is none of ours")
    }
    guard value[0] == Self.version else {
      throw .message(
        "message \(place) of the topic has version \(value[0]), this program knows \(Self.version)"
      )
    }
    switch value[1] {
    case 1, 2:
      guard value.count >= 10 else { throw .message("message \(place) of the topic is cut short") }
      let offset = value[2..<10].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      self = .part(offset: offset, isLast: value[1] == 2, bytes: Array(value[10...]))
    case 3: self = .mark
    default: throw .message("message \(place) of the topic has kind \(value[1])")
    }
  }

  /// The messages of a record, in order.
  static func messages(of record: ReplicaRecord) -> [ReplicaMessage] {
    var messages: [ReplicaMessage] = []
    var start = 0
    repeat {
      let end = min(start + partBytes, record.body.count)
      messages.append(
        .part(
          offset: record.offset,
          isLast: end == record.body.count,
          bytes: Array(record.body[start..<end])
        )
      )
      start = end
    } while start < record.body.count
    return messages
  }
}

/// Puts the parts of records together.
struct RecordAssembly {
  private var offset: UInt64?
  private var body: [UInt8] = []

  /// - Returns: a record that is whole with this message.
  /// - Throws: `KafkaBusError.message` for parts that do not belong together.
  mutating func take(
    _ message: ReplicaMessage,
    at place: Int64
  ) throws(KafkaBusError) -> ReplicaRecord? {
    guard case .part(let number, let isLast, let bytes) = message else {
      guard offset == nil else { throw .message("message \(place) stands amid a record's parts") }
      return nil
    }
    guard offset == nil || offset == number else {
      throw .message("message \(place) is a part of record \(number), expected \(offset ?? 0)")
    }
    body += bytes
    guard isLast else {
      offset = number
      return nil
    }
    defer { (offset, body) = (nil, []) }
    return ReplicaRecord(offset: number, body: body)
  }
}
