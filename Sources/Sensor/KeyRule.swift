import Event
import JSON

/// What tells the events of one matter from those of another: a value in each event.
package struct KeyRule: Sendable {
  private let selectors: [String: Parameter.Selector]

  /// - Parameter selectors: by the name of the dependency.
  package init(_ selectors: [String: Parameter.Selector]) { self.selectors = selectors }

  /// A longer value is replaced by its digest.
  private static let bytesMax = 200

  /// The key of an event, which is seen as the dependency's transform leaves it.
  func key(of event: Event, at dependency: Dependency) throws(KeyError) -> String {
    guard let selector = selectors[dependency.name] else {
      throw KeyError("'\(dependency.name)' has none")
    }
    let seen: Event
    do throws(TransformError) { seen = try dependency.transform?.applied(to: event) ?? event } catch
    { throw KeyError("transform: \(error)") }
    var events = FiringEvents([(dependency.name, seen)])
    let parameter = Parameter(
      dependency: dependency.name,
      data: selector,
      context: nil,
      value: nil,
      useRawData: false,
      destination: nil,
      operation: .overwrite
    )
    do throws(ParameterError) {
      let text = try parameter.resolve(&events).map { String(decoding: $0.text, as: UTF8.self) }
      guard let text, !text.isEmpty else { throw ParameterError("the value is empty") }
      return text.utf8.count > Self.bytesMax ? Event.stableID("key", text) : text
    } catch { throw KeyError(error.description) }
  }
}

/// Why an event has no key; nothing can be done with it then.
struct KeyError: Error, CustomStringConvertible {
  let description: String

  init(_ why: String) { description = "key: \(why)" }
}
