/// The stored form of an event, used by every bus.
///
///     version   1 byte, 1
///     attributes, each: key 1 byte, length 4 bytes little-endian, that many bytes
///       1 id   2 namespace   3 bus   4 source   5 type   6 subject   7 time (8 bytes, LE)
///       8 dataContentType   9 data   10 cause firing   11 cause event id (repeated)
///       12 cause hops (8 bytes, LE)   13 cause path element (repeated)   14 digest
///
/// A reader refuses a newer version and an unknown key: both mean a newer program wrote it.
extension Event {
  package enum EncodingError: Error, Equatable {
    case newerVersion(UInt8)
    case unknownAttribute(UInt8)
    case malformed
  }

  fileprivate enum Key {
    static let id: UInt8 = 1
    static let namespace: UInt8 = 2
    static let bus: UInt8 = 3
    static let source: UInt8 = 4
    static let type: UInt8 = 5
    static let subject: UInt8 = 6
    static let time: UInt8 = 7
    static let dataContentType: UInt8 = 8
    static let data: UInt8 = 9
    static let firing: UInt8 = 10
    static let causeEvent: UInt8 = 11
    static let hops: UInt8 = 12
    static let path: UInt8 = 13
    static let digest: UInt8 = 14
  }

  /// The stored bytes.
  package func encoded() -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(data.count + 512)
    out.append(1)
    func put(_ key: UInt8, _ bytes: some Collection<UInt8>) {
      out.append(key)
      withLittleEndian(UInt32(bytes.count)) { out += $0 }
      out += bytes
    }
    put(Key.id, id.utf8)
    put(Key.namespace, namespace.utf8)
    put(Key.bus, bus.utf8)
    put(Key.source, source.utf8)
    put(Key.type, type.utf8)
    put(Key.subject, subject.utf8)
    withLittleEndian(UInt64(bitPattern: time.nanoseconds)) { put(Key.time, $0) }
    put(Key.dataContentType, dataContentType.utf8)
    if let cause {
      put(Key.firing, cause.firing.text.utf8)
      for event in cause.events { put(Key.causeEvent, event.utf8) }
      withLittleEndian(UInt64(cause.hops)) { put(Key.hops, $0) }
      for element in cause.path { put(Key.path, element.utf8) }
    }
    if let digest { put(Key.digest, digest.utf8) }
    put(Key.data, data)
    return out
  }

  /// The number of stored bytes.
  package var encodedCount: Int {
    var texts = [id, namespace, bus, source, type, subject, dataContentType]
    if let cause { texts += [cause.firing.text] + cause.events + cause.path }
    if let digest { texts.append(digest) }
    let numbers = cause == nil ? 1 : 2
    return texts.reduce(1 + numbers * 13 + 5 + data.count) { $0 + 5 + $1.utf8.count }
  }

  /// Reads what `encoded` wrote.
  /// - Throws: `EncodingError`; bytes from outside never trap.
  package init(encoded bytes: ArraySlice<UInt8>) throws(EncodingError) {
    guard let version = bytes.first else { throw .malformed }
    guard version == 1 else { throw .newerVersion(version) }
    var fields: [UInt8: ArraySlice<UInt8>] = [:]
    var events: [String] = []
    var path: [String] = []
    var next = bytes.startIndex + 1
    while next < bytes.endIndex {
      guard bytes.endIndex - next >= 5 else { throw .malformed }
      let key = bytes[next]
      let count = Int(littleEndian(bytes[next + 1..<next + 5]))
      next += 5
      guard count <= bytes.endIndex - next else { throw .malformed }
      let value = bytes[next..<next + count]
      next += count
      switch key {
      case Key.causeEvent: events.append(String(decoding: value, as: UTF8.self))
      case Key.path: path.append(String(decoding: value, as: UTF8.self))
      case Key.id...Key.digest: fields[key] = value
      default: throw .unknownAttribute(key)
      }
    }
    func text(_ key: UInt8) throws(EncodingError) -> String {
      guard let value = fields[key] else { throw .malformed }
      return String(decoding: value, as: UTF8.self)
    }
    guard let time = fields[Key.time], time.count == 8, let data = fields[Key.data] else {
      throw .malformed
    }
    var cause: Cause?
    if let firing = fields[Key.firing] {
      guard let id = FiringID(String(decoding: firing, as: UTF8.self)),
        let hops = fields[Key.hops], hops.count == 8
      else { throw .malformed }
      cause = Cause(
        firing: id,
        events: events,
        hops: Int(clamping: littleEndian(hops)),
        path: path
      )
    }
    self.init(
      id: try text(Key.id),
      namespace: try text(Key.namespace),
      bus: try text(Key.bus),
      source: try text(Key.source),
      type: try text(Key.type),
      subject: try text(Key.subject),
      time: Timestamp(nanoseconds: Int64(bitPattern: littleEndian(time))),
      dataContentType: try text(Key.dataContentType),
      data: Array(data),
      cause: cause,
      digest: fields[Key.digest].map { String(decoding: $0, as: UTF8.self) }
    )
  }
}

extension Event.Identity {
  /// The identity of the event that `bytes` store, without decoding the rest.
  /// - Throws: `EncodingError`.
  package init(encoded bytes: ArraySlice<UInt8>) throws(Event.EncodingError) {
    guard let version = bytes.first else { throw .malformed }
    guard version == 1 else { throw .newerVersion(version) }
    var parts: [ArraySlice<UInt8>?] = [nil, nil, nil]
    var next = bytes.startIndex + 1
    while parts.contains(nil) {
      guard bytes.endIndex - next >= 5 else { throw .malformed }
      let key = bytes[next]
      let count = Int(littleEndian(bytes[next + 1..<next + 5]))
      next += 5
      guard count <= bytes.endIndex - next else { throw .malformed }
      switch key {
      case Event.Key.namespace: parts[0] = bytes[next..<next + count]
      case Event.Key.source: parts[1] = bytes[next..<next + count]
      case Event.Key.id: parts[2] = bytes[next..<next + count]
      default: break
      }
      next += count
    }
    let texts = parts.compactMap { $0 }.map { String(decoding: $0, as: UTF8.self) }
    self.init(namespace: texts[0], source: texts[1], id: texts[2])
  }
}

private func withLittleEndian<I: FixedWidthInteger>(_ number: I, _ body: ([UInt8]) -> Void) {
  body((0..<I.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) })
}

private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
  bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
}
