package import Event
package import JSON

/// A value taken from the events of a firing and a place to put it (spec section 4.2).
package struct Parameter: Sendable {
  /// A template over what `.Input` is; nil where it fails.
  package typealias Template = @Sendable (JSON) -> String?

  package enum Operation: String, Sendable, CaseIterable { case overwrite, append, prepend }

  package let dependency: String
  /// A path into the event's data.
  package let dataKey: JSONPath?
  /// A path into the event's context.
  package let contextKey: JSONPath?
  /// Over the event's data; its key is tried where it comes to nothing.
  package let dataTemplate: Template?
  /// Over the event's context.
  package let contextTemplate: Template?
  /// Taken where nothing else gives a value.
  package let value: String?
  /// Whether numbers, booleans and whole objects go in as they are instead of as a string.
  package let useRawData: Bool
  /// nil: the value becomes the whole payload.
  package let destination: JSONDestination?
  package let operation: Operation

  package init(
    dependency: String,
    dataKey: JSONPath?,
    contextKey: JSONPath?,
    dataTemplate: Template? = nil,
    contextTemplate: Template? = nil,
    value: String?,
    useRawData: Bool,
    destination: JSONDestination?,
    operation: Operation
  ) {
    self.dependency = dependency
    self.dataKey = dataKey
    self.contextKey = contextKey
    self.dataTemplate = dataTemplate
    self.contextTemplate = contextTemplate
    self.value = value
    self.useRawData = useRawData
    self.destination = destination
    self.operation = operation
  }
}

/// A parameter without a value to give: the firing cannot be carried out as written.
package struct ParameterError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// The events of one firing, each parsed at most once.
package struct FiringEvents {
  private let events: [String: Event]
  private var documents: [String: JSONDocument] = [:]

  package init(_ events: [(dependency: String, event: Event)]) {
    self.events = Dictionary(events.map { ($0.dependency, $0.event) }) { _, later in later }
  }

  fileprivate subscript(dependency: String) -> Event? { events[dependency] }

  fileprivate mutating func document(_ dependency: String) throws(ParameterError) -> JSONDocument? {
    if let document = documents[dependency] { return document }
    guard let event = events[dependency] else { return nil }
    do throws(JSONError) {
      let document = try JSONDocument(event.data)
      documents[dependency] = document
      return document
    } catch {
      throw ParameterError("the data of dependency '\(dependency)' is not JSON: \(error)")
    }
  }
}

extension Parameter {
  /// A value ready to be placed.
  struct Resolved: Equatable {
    /// What goes in where the type is kept.
    let raw: JSON
    /// The string form, which goes in otherwise.
    let text: String
    /// The exact bytes for a body that consists of this value alone.
    let bytes: [UInt8]

    init(text: String) {
      raw = .string(text)
      self.text = text
      bytes = Array(text.utf8)
    }

    init(_ value: JSONValue) {
      raw = value.json
      text = value.kind == .null ? "null" : value.string
      bytes = value.kind == .string ? Array(text.utf8) : Array(value.raw)
    }
  }

  /// nil: the dependency has no event in this firing and there is no default; the parameter is
  /// skipped (rule 1).
  func resolve(_ events: inout FiringEvents) throws(ParameterError) -> Resolved? {
    guard let event = events[dependency] else { return value.map { Resolved(text: $0) } }
    let selectsData = dataKey != nil || dataTemplate != nil
    guard selectsData || contextKey != nil || contextTemplate != nil else {
      return Resolved(text: value ?? event.envelope)
    }
    if let found = try lookUp(event, &events) { return found }
    if let value { return Resolved(text: value) }
    throw ParameterError("unable to resolve '\(dependency)' parameter value: nothing at the key")
  }

  private func lookUp(
    _ event: Event,
    _ events: inout FiringEvents
  ) throws(ParameterError) -> Resolved? {
    // Any data selector wins over the context completely (rule 3).
    if dataKey != nil || dataTemplate != nil {
      let document: JSONDocument?
      do throws(ParameterError) { document = try events.document(dependency) } catch {
        if value == nil { throw error }
        return nil
      }
      return document.flatMap { found(dataTemplate, dataKey, $0) }
    }
    do throws(JSONError) {
      return found(contextTemplate, contextKey, try JSONDocument(event.context.encoded()))
    } catch {
      throw ParameterError("the context of dependency '\(dependency)' is not JSON: \(error)")
    }
  }

  /// What the template gives, or else what is at the key (rules 5 and 6).
  private func found(
    _ template: Template?,
    _ key: JSONPath?,
    _ document: JSONDocument
  ) -> Resolved? {
    if let text = template?(document.root.json), !text.isEmpty, text != "<no value>" {
      return Resolved(text: text)
    }
    return key.flatMap { document.value(at: $0) }.map { Resolved($0) }
  }
}

extension [Parameter] {
  /// Sets each parameter into `object`, in order (rules "Apply to an object").
  /// - Throws: `ParameterError` for a value that cannot be resolved or placed.
  package func applied(
    to object: JSON,
    _ events: inout FiringEvents
  ) throws(ParameterError) -> JSON {
    var object = object
    for parameter in self {
      guard let destination = parameter.destination,
        let resolved = try parameter.resolve(&events)
      else { continue }
      var value = parameter.useRawData ? resolved.raw : .string(resolved.text)
      if parameter.operation != .overwrite, let existing = object.value(at: destination) {
        let old = existing.stringForm
        value = .string(
          parameter.operation == .append ? old + resolved.text : resolved.text + old
        )
      }
      object = try place(value, in: object, at: destination)
    }
    return object
  }

  /// The payload these parameters build, starting from nothing (rules "Build a payload"); nil
  /// when there are none, empty when none had a value.
  /// - Throws: `ParameterError` for a value that cannot be resolved or placed.
  package func payload(_ events: inout FiringEvents) throws(ParameterError) -> [UInt8]? {
    if isEmpty { return nil }
    var object: JSON?
    for parameter in self {
      guard let resolved = try parameter.resolve(&events) else { continue }
      guard let destination = parameter.destination else { return resolved.bytes }
      let value = parameter.useRawData ? resolved.raw : .string(resolved.text)
      object = try place(value, in: object ?? .object([]), at: destination)
    }
    return object?.encoded() ?? []
  }
}

private func place(
  _ value: JSON,
  in object: JSON,
  at destination: JSONDestination
) throws(ParameterError) -> JSON {
  do throws(JSONPathError) { return try object.setting(value, at: destination) } catch {
    throw ParameterError("dest '\(destination)': \(error)")
  }
}

extension JSON {
  /// The text of a value as concatenation sees it: strings without quotes.
  fileprivate var stringForm: String {
    if case .string(let text) = self { return text }
    return String(decoding: encoded(), as: UTF8.self)
  }
}
