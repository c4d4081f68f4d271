package import Event
package import Expression
import JSON

/// Why an event could not be transformed: it is not for this dependency then.
package struct TransformError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// `transform` of a dependency: what its filters and triggers see of an event (spec section 7.7).
/// The event on the log stays as it is; the same event gives the same every time.
package struct EventTransform: Sendable {
  private let change: @Sendable (JSON, Event) throws(TransformError) -> JSON

  /// `transform.script`. `os.time` is the event's.
  package init(_ script: LuaScript) {
    change = { (data, event) throws(TransformError) in
      do throws(LuaError) {
        return try script.transform(data, now: event.time.secondsSince1970)
      } catch {
        throw TransformError("\(error)")
      }
    }
  }

  /// `transform.jq`.
  package init(_ program: JQProgram, in workers: JQWorkers) {
    change = { (data, _) throws(TransformError) in
      do throws(JQError) { return try workers.transform(program, data) } catch {
        throw TransformError("\(error)")
      }
    }
  }

  /// The event with other data; one without data stays as it is.
  package func applied(to event: Event) throws(TransformError) -> Event {
    guard !event.data.isEmpty else { return event }
    let data: JSON
    do throws(JSONError) { data = try JSON(parsing: event.data) } catch {
      throw TransformError("event data is not valid JSON: \(error)")
    }
    var changed = event
    changed.data = try change(data, event).encoded()
    changed.dataContentType = "application/json"
    return changed
  }
}

extension Timestamp {
  /// Since 1970, rounded down.
  var secondsSince1970: Int {
    let size = Int(nanoseconds)
    return size / 1_000_000_000 - (size % 1_000_000_000 < 0 ? 1 : 0)
  }
}
