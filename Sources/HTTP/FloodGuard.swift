import Posix

/// Counts the frames of HTTP/2 that cost work and bring none: each kind may come in a burst and
/// at a rate, and requests that were answered pay for more. What goes beyond is a flood (RFC 9113
/// section 10.5; CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316).
struct FloodGuard {
  /// Frames of one kind at once.
  static let burst = 500.0
  /// Frames of one kind that a second forgives.
  static let perSecond = 100.0
  /// Frames of each kind that an answered request forgives.
  static let perAnswer = 4.0
  /// CONTINUATION frames of one header block.
  /// CONTINUATION frames of one header block; nghttp2 itself would stop at 8, with another code.
  static let continuations = 6

  private var spent = [Double](repeating: 0, count: HTTPMisuse.allCases.count)
  private var last: MonotonicTime
  private var blockFrames = 0
  private static let places = Dictionary(
    uniqueKeysWithValues: HTTPMisuse.allCases.enumerated().map { ($1, $0) }
  )

  init(_ now: MonotonicTime) { last = now }

  /// Counts a frame by its head; nil while it is within bounds.
  mutating func count(_ frame: H2Frame, _ now: MonotonicTime) -> HTTPMisuse? {
    let isPartOfBlock = frame.kind == .continuation
    blockFrames = isPartOfBlock ? blockFrames + 1 : 0
    if blockFrames > Self.continuations { return .continuations }
    guard let kind = frame.isIdleWork, let place = Self.places[kind] else { return nil }
    let elapsed = (now - last).inSeconds
    last = now
    for place in spent.indices { spent[place] = max(0, spent[place] - elapsed * Self.perSecond) }
    spent[place] += 1
    return spent[place] > Self.burst ? kind : nil
  }

  mutating func answered() {
    for place in spent.indices { spent[place] = max(0, spent[place] - Self.perAnswer) }
  }
}

/// The head of a frame.
struct H2Frame {
  enum Kind: UInt8 {
    case data, headers, priority, reset, settings, pushPromise, ping, goAway, windowUpdate
    case continuation
  }

  /// nil: a kind that RFC 9113 does not know.
  let kind: Kind?
  let flags: UInt8
  let length: Int
  let stream: Int32

  var endsStream: Bool { (kind == .data || kind == .headers) && flags & 1 != 0 }
  var isAcknowledgement: Bool { (kind == .ping || kind == .settings) && flags & 1 != 0 }

  /// What it counts as when it is sent in masses; nil for a frame that carries a request on.
  var isIdleWork: HTTPMisuse? {
    switch kind {
    case .reset: .rapidReset
    case .settings: .settings
    case .ping: .pings
    case .windowUpdate: .windowUpdates
    case .priority: .priorities
    // Padding may hide that there is nothing: a byte says how much, the rest is padding.
    case .data: length <= (flags & 8 != 0 ? 1 : 0) && !endsStream ? .emptyFrames : nil
    case .headers: length == 0 ? .emptyFrames : nil
    case .continuation: length == 0 ? .emptyFrames : nil
    // Kinds that nobody knows are passed over and keep no connection open.
    case .pushPromise, .goAway, nil: nil
    }
  }
}
