import TLS

/// One CloudEvent 1.0 as it lives on the bus (spec section 1.1).
package struct Event: Equatable, Sendable {
  /// Unique within (namespace, source). Two events with the same identity are one occurrence.
  package var id: String
  /// The `metadata.namespace` of the event source.
  package var namespace: String
  /// The event bus both sides name in `eventBusName`.
  package var bus: String
  /// The `metadata.name` of the event source.
  package var source: String
  /// The source type, such as `github`.
  package var type: String
  /// The event name: the key of the entry in the event source.
  package var subject: String
  /// Wall clock when the event was accepted.
  package var time: Timestamp
  package var dataContentType: String
  /// The payload exactly as stored, at most `Limits.dataBytes`.
  package var data: [UInt8]
  /// What led to this event; nil for one that came from outside.
  package var cause: Cause?
  /// Hexadecimal digest of what the sender sent, where it gave the id: the same id with another
  /// digest is another event. nil: whatever has the id is the same event.
  package var digest: String?

  package init(
    id: String,
    namespace: String = "default",
    bus: String = "default",
    source: String,
    type: String,
    subject: String,
    time: Timestamp,
    dataContentType: String = "application/json",
    data: [UInt8],
    cause: Cause? = nil,
    digest: String? = nil
  ) {
    self.id = id
    self.namespace = namespace
    self.bus = bus
    self.source = source
    self.type = type
    self.subject = subject
    self.time = time
    self.dataContentType = dataContentType
    self.data = data
    self.cause = cause
    self.digest = digest
  }

  /// The source of outcomes, and that of notices about the program itself. No event source has
  /// their names.
  package static let outcomeSource = "outcomes"
  package static let noticeSource = "signalbox"

  /// Whether the program made it, not an event source.
  package var isOwn: Bool { source == Self.outcomeSource || source == Self.noticeSource }

  /// The number of firings that led here; 0 for an event from outside.
  package var hops: Int { cause?.hops ?? 0 }

  /// The identity that deduplication compares.
  package var identity: Identity { Identity(namespace: namespace, source: source, id: id) }

  package enum Limits {
    /// The largest payload the bus stores. Sources refuse larger bodies before.
    package static let dataBytes = 64 << 20
    /// The largest value of any other attribute in UTF-8 bytes.
    package static let attributeBytes = 4096
  }

  /// 128 bits of SHA-256 over namespace, source and id: small enough to hold one per stored event,
  /// and no sender can find two events that share it.
  package struct Identity: Hashable, Sendable {
    package let high: UInt64
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
      self.high = high
      self.low = low
    }

    package init(namespace: String, source: String, id: String) {
      var hasher = SHA256.Hasher()
      for part in [namespace, source, id] { hasher.update(lengthPrefixed: part) }
      let digest = hasher.finish()
      high = digest[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
      low = digest[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }
  }

  /// A stable id for an occurrence that its sender named: 32 lower-case hexadecimal digits of
  /// SHA-256 over the length-prefixed parts.
  package static func stableID(_ parts: String...) -> String {
    var hasher = SHA256.Hasher()
    for part in parts { hasher.update(lengthPrefixed: part) }
    return hexadecimal(hasher.finish().prefix(16))
  }

  /// A fresh id for an occurrence without a name: 32 random lower-case hexadecimal digits.
  package static func randomID() -> String { hexadecimal(secureRandomBytes(16)) }
}

/// What led to an event: the firing whose outcome it is, or that called us.
package struct Cause: Equatable, Sendable {
  /// The firing that produced the event.
  package var firing: FiringID
  /// Ids of the events that the firing was made from; empty where only the firing is known.
  package var events: [String]
  /// Firings from the first outside event to this one, this one included; at least 1.
  package var hops: Int
  /// `<namespace>/<sensor>/<trigger>` of those firings as far as known, oldest first.
  package var path: [String]

  package init(firing: FiringID, events: [String], hops: Int, path: [String]) {
    self.firing = firing
    self.events = events
    self.hops = hops
    self.path = path
  }
}

/// The key of an effect: the same for every repetition of the same firing, whatever crashed in
/// between. 32 characters of lower-case base32 (RFC 4648 without padding).
package struct FiringID: Hashable, Sendable, CustomStringConvertible {
  package let text: String

  /// SHA-256 over namespace, sensor, trigger, replay number and the sorted dependencies,
  /// each part length-prefixed, cut to 20 bytes.
  package init(
    namespace: String,
    sensor: String,
    trigger: String,
    replay: Int,
    dependencies: [(name: String, source: String, eventID: String)]
  ) {
    var hasher = SHA256.Hasher()
    for part in [namespace, sensor, trigger, String(replay)] { hasher.update(lengthPrefixed: part) }
    hasher.update(lengthPrefixed: String(dependencies.count))
    for dependency in dependencies.sorted(by: {
      ($0.name, $0.source, $0.eventID) < ($1.name, $1.source, $1.eventID)
    }) {
      hasher.update(lengthPrefixed: dependency.name)
      hasher.update(lengthPrefixed: dependency.source)
      hasher.update(lengthPrefixed: dependency.eventID)
    }
    text = base32(hasher.finish().prefix(20))
  }

  /// Reads an id that was printed before; nil unless it is 32 characters `a`-`z`, `2`-`7`.
  package init?(_ text: String) {
    guard text.utf8.count == 32,
      text.utf8.allSatisfy({ (97...122).contains($0) || (50...55).contains($0) })
    else { return nil }
    self.text = text
  }

  package var description: String { text }
}

private func base32(_ bytes: some Sequence<UInt8>) -> String {
  let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
  var text: [UInt8] = []
  var buffer = 0
  var bits = 0
  for byte in bytes {
    buffer = buffer << 8 | Int(byte)
    bits += 8
    while bits >= 5 {
      bits -= 5
      text.append(alphabet[buffer >> bits & 31])
    }
    buffer &= (1 << bits) - 1
  }
  if bits > 0 { text.append(alphabet[buffer << (5 - bits) & 31]) }
  return String(decoding: text, as: UTF8.self)
}
