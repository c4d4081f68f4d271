import Event
import JSON
import Posix

/// Events about the log itself, from source `signalbox`, in the namespace and bus `default` or
/// those of the event that they are about.
enum Notices {
  /// `signalbox.clock.jumped`, subject `clock.jumped`: the wall clock went another way than the
  /// monotonic one by more than 60 s. Data: `expected` and `found` (times), `seconds` (forward
  /// is positive).
  static func clockJumped(_ jump: LogTime.Jump, at time: Int64, _ offset: UInt64) -> Event {
    notice(
      "clock.jumped",
      id: Event.stableID("clock jumped", "\(offset)", "\(jump.found)"),
      at: time,
      [
        "expected": .string(Timestamp(nanoseconds: jump.expected).description),
        "found": .string(Timestamp(nanoseconds: jump.found).description),
        "seconds": JSON(Int((jump.found - jump.expected) / 1_000_000_000)),
      ]
    )
  }

  /// `signalbox.id-conflict`, subject `id-conflict`: an event came under the id of another. Data:
  /// `source`, `event`, `id` (of both), `storedAs`.
  static func idConflict(_ event: Event, storedAs id: String, at time: Int64) -> Event {
    var notice = notice(
      "id-conflict",
      id: Event.stableID("id conflict", event.namespace, event.source, id),
      at: time,
      [
        "source": .string(event.source), "event": .string(event.subject),
        "id": .string(event.id), "storedAs": .string(id),
      ]
    )
    notice.namespace = event.namespace
    notice.bus = event.bus
    return notice
  }

  private static func notice(_ subject: String, id: String, at time: Int64, _ data: JSON) -> Event {
    Event(
      id: id,
      source: Event.noticeSource,
      type: "signalbox." + subject,
      subject: subject,
      time: Timestamp(nanoseconds: time),
      data: data.encoded()
    )
  }
}
