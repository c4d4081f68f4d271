import Event
import Expression
import HTTPClient
import JSON
import Plugin
import Posix
import Synchronization
import TestKit

/// A host whose log refuses what a test wants refused, and that watches what a source may not do.
final class StubbornHost: SourceHost, SecretStore {
  private struct State {
    var events: [Event] = []
    var places: [String: JSON] = [:]
    /// Where reading began in each partition, less the events it had then.
    var starts: [String: Int] = [:]
    var lines: [String] = []
    var readings: [String: Double] = [:]
    var underWay = 0
    var refused = 0
    var breaches: [String] = []
  }

  private let state = Mutex(State())
  /// Whether the next events are refused; asked once for each append.
  private let refuses: @Sendable () -> Bool
  let loop: EventLoop?

  init(loop: EventLoop, refuses: @escaping @Sendable () -> Bool) {
    self.loop = loop
    self.refuses = refuses
  }

  var secrets: any SecretStore { self }
  var events: [Event] { state.withLock { $0.events } }
  var lines: [String] { state.withLock { $0.lines } }
  /// How many appends were refused.
  var refused: Int { state.withLock { $0.refused } }
  /// What the source did that loses messages when the program is killed at that moment.
  var breaches: [String] { state.withLock { $0.breaches } }
  /// The numbers that were shown last, as `<name> <thing>`.
  var readings: [String: Double] { state.withLock { $0.readings } }

  func append(
    _ events: [Event],
    places: [SourcePlace],
    from name: EventSourceName
  ) async throws(SinkError) -> [Stored] {
    state.withLock { state in
      state.underWay += 1
      if state.underWay > 1 { state.breaches.append("an append beside another one") }
    }
    // The log's thread answers later.
    await loop?.sleep(for: .milliseconds(1))
    let isRefused = !events.isEmpty && refuses()
    state.withLock { state in
      state.underWay -= 1
      guard !isRefused else { return state.refused += 1 }
      state.events += events
      for place in places {
        state.places[place.key] = place.value
        check(place, isStart: events.isEmpty, &state)
      }
    }
    if isRefused { throw .unavailable("the log is full") }
    return events.map { _ in Stored(isDuplicate: false) }
  }

  /// A position is as far from where reading began as there are events.
  private func check(_ place: SourcePlace, isStart: Bool, _ state: inout State) {
    guard case .number(let text)? = place.value?["next"], let next = Int(text) else {
      return state.breaches.append("\(place.key) stands nowhere")
    }
    let count = state.events.count { event in
      guard let data = try? JSON(parsing: event.data), case .string(let topic)? = data["topic"],
        case .number(let partition)? = data["partition"]
      else { return false }
      return place.key == "\(topic)/\(partition)"
    }
    if isStart { state.starts[place.key] = next - count }
    if next != state.starts[place.key, default: 0] + count {
      state.breaches.append("\(place.key) stands at \(next) with \(count) events")
    }
  }

  func places(of name: EventSourceName) -> [String: JSON] { state.withLock { $0.places } }

  func show(_ reading: SourceReading, from name: EventSourceName) {
    guard case .number(let number, let thing, let value) = reading else { return }
    state.withLock { $0.readings["\(number) \(thing)"] = value }
  }

  func log(_ level: SourceLogLevel, _ message: String, _ fields: [(String, String)]) {
    state.withLock { $0.lines.append(message) }
  }

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    throw OutboundError(.cancelled, "this host sends nothing")
  }

  func secret(name: String, key: String) throws(SecretError) -> Secret {
    throw SecretError("no secret")
  }

  func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret] {
    throw SecretError("no secret")
  }

  func cause(verifying header: String) -> Cause? { nil }
  func now() -> Timestamp { Timestamp(nanoseconds: 0) }
  func countRefused(_ name: EventSourceName, _ reason: String) {}

  var world: TemplateWorld {
    TemplateWorld(
      now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
      zoneFile: { try? Files.read("/usr/share/zoneinfo/" + $0, limit: 1 << 20) },
      random: { 4 }
    )
  }
}
