import EventLog

/// A message on the topic of a bus. All numbers are little-endian.
///
///     version (1): 1
///     kind (1): 1 a part of a record, 2 the last part of a record, 3 a new owner's mark,
///               4 the same of somebody who moves a log, 5 a log is being moved here,
///               6 the log that was moved is whole, 7 missing positions
///     of a record: its position (8), then bytes of its body, at most `partBytes`
///     of missing positions: the last of them (8); the first is the one behind the record before
///     of the others: nothing
///
/// The parts of a record follow one another. A record's body is that of the embedded log: time,
/// kind, payload (EventLog's Format). All records of a transaction can be read, or none.
///
/// Records follow one another without a gap, except behind a message of missing positions: a log
/// that is moved has let go of some (retention), or lost them. A mark only shows that everything
/// before it has been read.
///
/// Every transaction of a move ends with 5 or, the last one, with 6. So whoever has read past the
/// last record knows whether the log is whole; before it is, nobody may go on with it.
package enum ReplicaMessage: Equatable, Sendable {
  case part(offset: UInt64, isLast: Bool, bytes: [UInt8])
  case mark
  case look
  case moving
  case moved
  case gap(through: UInt64)

  /// So that the usual limit of 1 MB for a message never matters.
  package static let partBytes = 512 << 10
  private static let version: UInt8 = 1

  package var encoded: [UInt8] {
    switch self {
    case .mark: return [Self.version, 3]
    case .look: return [Self.version, 4]
    case .moving: return [Self.version, 5]
    case .moved: return [Self.version, 6]
    case .gap(let through): return [Self.version, 7] + Self.bytes(through)
    case .part(let offset, let isLast, let bytes):
      var out = [Self.version, isLast ? 2 : 1]
      out.reserveCapacity(10 + bytes.count)
      out += Self.bytes(offset)
      return out + bytes
    }
  }

  private static func bytes(_ number: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
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
    let number = value[2...].prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    switch value[1] {
    case 1, 2, 7:
      guard value.count >= 10 else { throw .message("message \(place) of the topic is cut short") }
      self =
        value[1] == 7
        ? .gap(through: number)
        : .part(offset: number, isLast: value[1] == 2, bytes: Array(value[10...]))
    case 3: self = .mark
    case 4: self = .look
    case 5: self = .moving
    case 6: self = .moved
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

/// Puts the parts of records together, and sees to it that no record is missing.
struct RecordAssembly {
  private var offset: UInt64?
  private var body: [UInt8] = []
  /// The last position that was whole, or noted as missing; nil: any record may be the first.
  private(set) var last: UInt64?
  /// Whether reading began amid the topic: parts of a record whose beginning was not read are left
  /// out.
  private var isAmid: Bool

  init(isAmid: Bool) { self.isAmid = isAmid }

  /// - Returns: a record that is whole with this message.
  /// - Throws: `KafkaBusError.message` for parts that do not belong together, and for records that
  ///   do not follow one another.
  mutating func take(
    _ message: ReplicaMessage,
    at place: Int64
  ) throws(KafkaBusError) -> ReplicaRecord? {
    guard case .part(let number, let isLast, let bytes) = message else {
      guard offset == nil else { throw .message("message \(place) stands amid a record's parts") }
      isAmid = false
      if case .gap(let through) = message { last = max(last ?? 0, through) }
      return nil
    }
    if isAmid {
      if isLast { (isAmid, last) = (false, number) }
      return nil
    }
    guard offset == nil || offset == number else {
      throw .message("message \(place) is a part of record \(number), expected \(offset ?? 0)")
    }
    if let last, number != last + 1 {
      throw .message("message \(place) is of record \(number), expected \(last + 1)")
    }
    body += bytes
    guard isLast else {
      offset = number
      return nil
    }
    defer { (offset, body, last) = (nil, [], number) }
    return ReplicaRecord(offset: number, body: body)
  }
}
