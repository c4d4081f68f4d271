package import Event
import JSON
import Manifest

/// The events of one firing, each parsed at most once.
package struct FiringEvents {
  private let events: [String: Event]
  private var documents: [String: JSONDocument] = [:]
  private var contexts: [String: JSONDocument] = [:]

  package init(_ events: [(dependency: String, event: Event)]) {
    self.events = Dictionary(events.map { ($0.dependency, $0.event) }) { _, later in later }
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
