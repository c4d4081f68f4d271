import Event
package import JSON

/// A value taken from the events of a firing and a place to put it (spec section 8).
package struct Parameter: Sendable {
  package enum Operation: String, Sendable, CaseIterable { case overwrite, append, prepend }

  /// A template over what was selected; nil where it fails.
  package typealias Template = @Sendable (JSON) -> String?

  /// Where in an event, or in its data, to look: the template first, then the key.
  package struct Selector: Sendable {
    package let key: JSONPath?
    package let template: Template?

    /// nil where both are.
    package init?(key: JSONPath?, template: Template? = nil) {
      if key == nil && template == nil { return nil }
      self.key = key
      self.template = template
    }
  }

  package let dependency: String
  /// Into the event's data; with it the context is not looked at.
  package let data: Selector?
  /// Into the event's context.
  package let context: Selector?
  /// Taken where nothing else gives a value; before the whole event where nothing is selected.
  package let value: String?
  /// Whether numbers, booleans and whole objects go in as they are instead of as a string.
  package let useRawData: Bool
  /// nil: the value becomes the whole payload.
  package let destination: JSONDestination?
  package let operation: Operation

  package init(
    dependency: String,
    data: Selector?,
    context: Selector?,
    value: String?,
    useRawData: Bool,
    destination: JSONDestination?,
    operation: Operation
  ) {
    self.dependency = dependency
    self.data = data
    self.context = context
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

extension Parameter {
  /// A value ready to be placed.
  struct Resolved: Equatable {
    var text: [UInt8]
    /// Whether it is a string wherever it goes: templates and defaults always are.
    var isString: Bool

    init(text: String) {
      self.text = Array(text.utf8)
      isString = true
    }

    init(_ value: JSONValue) {
      isString = value.kind == .string
      text = Array(value.kind == .null ? value.raw : value.stringBytes)
    }
  }

  /// nil: the dependency has no event in this firing and there is no default; the parameter is
  /// skipped.
  func resolve(_ events: inout FiringEvents) throws(ParameterError) -> Resolved? {
    guard let event = events[dependency] else { return value.map { Resolved(text: $0) } }
    guard let selector = data ?? context else {
      return Resolved(text: value ?? event.envelope)
    }
    do throws(ParameterError) {
      let document =
        data == nil ? try events.context(dependency) : try events.document(dependency)
      if let document, let found = look(selector, document) { return found }
    } catch {
      if value == nil { throw error }
    }
    if let value { return Resolved(text: value) }
    throw ParameterError("unable to resolve '\(dependency)' parameter value: nothing at the key")
  }

  private func look(_ selector: Selector, _ document: JSONDocument) -> Resolved? {
    // A template that comes to nothing has failed; the key is tried next.
    if let template = selector.template, let input = document.root.json,
      let text = template(input), !text.isEmpty, text != "<no value>"
    {
      return Resolved(text: text)
    }
    return selector.key.flatMap { document.value(at: $0) }.map { Resolved($0) }
  }

  /// What goes in at the destination.
  fileprivate func content(_ resolved: Resolved) -> JSONContent {
    useRawData && !resolved.isString
      ? .raw(resolved.text) : .text(String(decoding: resolved.text, as: UTF8.self))
  }
}

extension [Parameter] {
  /// Sets each parameter into `object`, in order (spec section 8.2).
  /// - Throws: `ParameterError` for a value that cannot be resolved or placed.
  package func applied(
    to object: JSON,
    _ events: inout FiringEvents
  ) throws(ParameterError) -> JSON {
    let text = try applied(to: object.encoded(), &events)
    do throws(JSONError) { return try JSON(parsing: text) } catch {
      throw ParameterError("the parameters leave no JSON: \(error)")
    }
  }

  /// Sets each parameter into the text of an object, in order; all other bytes stay.
  /// - Throws: `ParameterError` for a value that cannot be resolved or placed.
  package func applied(
    to object: [UInt8],
    _ events: inout FiringEvents
  ) throws(ParameterError) -> [UInt8] {
    var object = object
    for parameter in self {
      guard var resolved = try parameter.resolve(&events) else { continue }
      guard let destination = parameter.destination else { throw ParameterError("dest is empty") }
      if parameter.operation != .overwrite,
        let existing = destination.path.value(in: object[...])
      {
        resolved.text =
          parameter.operation == .append
          ? existing.stringBytes + resolved.text : resolved.text + existing.stringBytes
        resolved.isString = true
      }
      object = try place(parameter.content(resolved), in: object, at: destination)
    }
    return object
  }

  /// The payload these parameters build, starting from nothing (spec section 8.2); nil when there
  /// are none, empty when none had a value.
  /// - Throws: `ParameterError` for a value that cannot be resolved or placed.
  package func payload(_ events: inout FiringEvents) throws(ParameterError) -> [UInt8]? {
    if isEmpty { return nil }
    var object: [UInt8] = []
    for parameter in self {
      guard let resolved = try parameter.resolve(&events) else { continue }
      guard let destination = parameter.destination else { return resolved.text }
      object = try place(parameter.content(resolved), in: object, at: destination)
    }
    return object
  }
}

private func place(
  _ content: JSONContent,
  in object: [UInt8],
  at destination: JSONDestination
) throws(ParameterError) -> [UInt8] {
  do throws(JSONPathError) { return try destination.setting(content, in: object) } catch {
    throw ParameterError("dest '\(destination)': \(error)")
  }
}
