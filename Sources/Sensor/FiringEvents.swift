package import Event
package import JSON
import Manifest

/// The events of one firing, each parsed at most once.
package struct FiringEvents {
  private let events: [String: Event]
  private var documents: [String: JSONDocument] = [:]
  private var contexts: [String: JSONDocument] = [:]

  /// - Parameter asLists: whether the data of a dependency are a list of the data of all its
  ///   events, however many these are. The context is that of the last.
  package init(_ events: [(dependency: String, event: Event)], asLists: Bool = false) {
    var latest = Dictionary(events.map { ($0.dependency, $0.event) }) { _, later in later }
    if asLists {
      let lists = Self.lists(events)
      for member in lists {
        latest[member.key]?.data = member.value.encoded()
        latest[member.key]?.dataContentType = "application/json"
      }
    }
    self.events = latest
  }

  /// The data of all events, in lists by dependency; what is no JSON is text.
  package static func lists(_ events: [(dependency: String, event: Event)]) -> [JSON.Member] {
    var order: [String] = []
    var lists: [String: [JSON]] = [:]
    for (dependency, event) in events {
      if lists[dependency] == nil { order.append(dependency) }
      let text = JSON.string(String(decoding: event.data, as: UTF8.self))
      lists[dependency, default: []].append((try? JSON(parsing: event.data)) ?? text)
    }
    return order.map { JSON.Member(key: $0, value: .array(lists[$0] ?? [])) }
  }

  subscript(dependency: String) -> Event? { events[dependency] }

  /// The data of an event as JSON, YAML turned into it.
  mutating func document(_ dependency: String) throws(ParameterError) -> JSONDocument? {
    if let document = documents[dependency] { return document }
    guard let event = events[dependency] else { return nil }
    let document: JSONDocument
    switch event.dataContentType {
    case "application/json": document = try parse(event.data, "the data of '\(dependency)'")
    case "application/yaml":
      guard let json = jsonFromYAML(event.data) else {
        throw ParameterError("the data of dependency '\(dependency)' are not YAML")
      }
      document = try parse(json.encoded(), "the data of '\(dependency)'")
    case let type:
      throw ParameterError("the data of dependency '\(dependency)' are of type '\(type)'")
    }
    documents[dependency] = document
    return document
  }

  /// The context of an event as JSON.
  mutating func context(_ dependency: String) throws(ParameterError) -> JSONDocument? {
    if let context = contexts[dependency] { return context }
    guard let event = events[dependency] else { return nil }
    let context = try parse(event.context.encoded(), "the context of '\(dependency)'")
    contexts[dependency] = context
    return context
  }

  private func parse(_ bytes: [UInt8], _ what: String) throws(ParameterError) -> JSONDocument {
    do throws(JSONError) { return try JSONDocument(bytes) } catch {
      throw ParameterError("\(what) are not JSON: \(error)")
    }
  }
}
