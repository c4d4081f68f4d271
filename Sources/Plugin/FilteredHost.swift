import Cluster
import Event
import Expression
import HTTPClient
import JSON
import Manifest
import Posix

/// A source's host with the source's own `filter.expression` in front: what the filter does not
/// want is counted and not stored, whatever kind of source it comes from.
struct FilteredHost: SourceHost {
  private let host: any SourceHost
  /// nil: what is written is no expression, so that no event can be judged by it.
  private let filter: EventSourceFilter?

  init(_ host: any SourceHost, _ filter: EventSourceFilter?) {
    self.host = host
    self.filter = filter
  }

  var secrets: any SecretStore { host.secrets }
  var world: TemplateWorld { host.world }
  var compat: Compatibility { host.compat }

  func append(
    _ events: [Event],
    places: [SourcePlace],
    from name: EventSourceName
  ) async throws(SinkError) -> [Stored] {
    let verdicts = events.map { isWanted($0, name) }
    let wanted = zip(events, verdicts).filter { $0.1 }.map { $0.0 }
    var stored = ArraySlice<Stored>()
    if !wanted.isEmpty || !places.isEmpty {
      stored = try await host.append(wanted, places: places, from: name)[...]
    }
    return verdicts.map { isWanted in
      let answer = isWanted ? stored.popFirst() : nil
      return answer ?? Stored(isDuplicate: false, isFiltered: true)
    }
  }

  /// A notice about the source is nobody's to refuse.
  private func isWanted(_ event: Event, _ name: EventSourceName) -> Bool {
    if event.source == Event.noticeSource { return true }
    switch filter?.evaluate(event.data) {
    case .pass: return true
    case .refused: host.countRefused(name, "filtered")
    case .error, nil: host.countRefused(name, "filter-error")
    }
    return false
  }

  func places(of name: EventSourceName) -> [String: JSON] { host.places(of: name) }
  var loop: EventLoop? { host.loop }
  var cluster: ClusterAccess { host.cluster }

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    try await host.send(request)
  }

  func show(_ reading: SourceReading, from name: EventSourceName) {
    host.show(reading, from: name)
  }

  func log(_ level: SourceLogLevel, _ message: String, _ fields: [(String, String)]) {
    host.log(level, message, fields)
  }

  func cause(verifying header: String) -> Cause? { host.cause(verifying: header) }
  func digest(ofSecret secret: [UInt8]) -> String? { host.digest(ofSecret: secret) }
  func now() -> Timestamp { host.now() }
  func countRefused(_ name: EventSourceName, _ reason: String) { host.countRefused(name, reason) }

  func countVerified(_ name: EventSourceName, usedPrevious: Bool) {
    host.countVerified(name, usedPrevious: usedPrevious)
  }

  func isStored(_ id: String, of name: EventSourceName) -> Bool { host.isStored(id, of: name) }
  var hasFilter: Bool { true }

  func isRepeatedBody(_ digest: String, delivery: String, of name: EventSourceName) -> Bool {
    host.isRepeatedBody(digest, delivery: delivery, of: name)
  }
}

extension Block {
  /// `host` behind the `filter` of an event source; `host` itself where there is none, or one that
  /// was reported.
  func filtered(_ host: any SourceHost) -> any SourceHost {
    guard let filter = block("filter") else { return host }
    let mode = host.compat.mode(.sourceFilters)
    let isStrict = mode == .argo19
    let expression =
      isStrict ? filter.string("expression") ?? "" : filter.requiredString("expression")
    filter.finish()
    guard isStrict || !expression.isEmpty else { return host }
    do throws(ExprError) {
      return FilteredHost(host, try EventSourceFilter(expression, mode: mode, world: host.world))
    } catch {
      guard isStrict else {
        filter.error("expression", "\(error)")
        return host
      }
      filter.warning("expression", "\(error); no event passes, as in Argo Events 1.9")
      return FilteredHost(host, nil)
    }
  }
}
