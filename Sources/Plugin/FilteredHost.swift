import Event
import Expression
import Manifest

/// A source's host with the source's own `filter.expression` in front: what the filter does not
/// want is counted and not stored, whatever kind of source it comes from.
struct FilteredHost: SourceHost {
  private let host: any SourceHost
  private let filter: EventSourceFilter

  init(_ host: any SourceHost, _ filter: EventSourceFilter) {
    self.host = host
    self.filter = filter
  }

  var secrets: any SecretStore { host.secrets }
  var world: TemplateWorld { host.world }

  func append(_ event: Event, from name: EventSourceName) async throws(SinkError) -> Stored {
    switch filter.evaluate(event.data) {
    case .pass: return try await host.append(event, from: name)
    case .refused: host.countRefused(name, "filtered")
    case .error: host.countRefused(name, "filter-error")
    }
    return Stored(isDuplicate: false, isFiltered: true)
  }

  func cause(verifying header: String) -> Cause? { host.cause(verifying: header) }
  func now() -> Timestamp { host.now() }
  func countRefused(_ name: EventSourceName, _ reason: String) { host.countRefused(name, reason) }
}

extension Block {
  /// The `filter` of an event source; nil where there is none, or none that compiles.
  func sourceFilter(in world: TemplateWorld) -> EventSourceFilter? {
    guard let filter = block("filter") else { return nil }
    let expression = filter.requiredString("expression")
    filter.finish()
    guard !expression.isEmpty else { return nil }
    do throws(ExprError) {
      return try EventSourceFilter(expression, world: world)
    } catch {
      filter.error("expression", "\(error)")
      return nil
    }
  }
}
