import Engine
import Event
import EventLog
package import JSON
import Sensor

/// Which sensor is meant when `signalbox explain --pending` asks what is waited for.
package struct PendingQuestion: Sendable {
  /// nil: all of them.
  let sensor: SensorID?

  /// - Parameter json: `sensor` (`NAME` or `NAMESPACE/NAME`) if wanted; nil for anything else.
  package init?(_ json: JSON) {
    guard case .object = json else { return nil }
    switch json["sensor"] {
    case .string(let name)?: sensor = SensorID(asked: name)
    case nil, .null?: sensor = nil
    default: return nil
    }
  }

  func answer(_ plan: EnginePlan, isRunning: Bool, _ pending: [Pending]) -> (isDone: Bool, JSON) {
    if let sensor, !plan.interlocking.sensors.contains(where: { $0.id == sensor }) {
      return (false, ["error": .string("there is no sensor \(sensor)")])
    }
    return (true, ["running": .bool(isRunning), "pending": .array(pending.map(\.json))])
  }
}

extension Installation {
  /// What triggers hold and wait for. `request` is JSON: `sensor`, if wanted.
  func pending(_ request: [UInt8]) async -> (isDone: Bool, JSON) {
    let json = request.isEmpty ? JSON.object([]) : try? JSON(parsing: request)
    guard let json, let question = PendingQuestion(json) else {
      return (false, ["error": "found no JSON with sensor, a text"])
    }
    let pending = await engine.pending(of: question.sensor)
    return question.answer(plan.engine, isRunning: true, pending)
  }
}

extension ExplainFolder {
  /// Answers as the program that runs would, as far as the log tells.
  package func pending(_ question: PendingQuestion, data: String) -> (isDone: Bool, JSON) {
    var reader = PendingReader(plan)
    do {
      var problem: NoteError?
      _ = try EventLogReader(folder: data + "/log").read { record in
        guard problem == nil else { return }
        do throws(NoteError) { try reader.take(record) } catch { problem = error }
      }
      if let problem { throw problem }
    } catch { return (false, ["error": .string("\(error)")]) }
    return question.answer(plan, isRunning: false, reader.pending(of: question.sensor))
  }
}

extension Pending {
  fileprivate var json: JSON {
    [
      "sensor": .string(trigger.sensor.description), "trigger": .string(trigger.name),
      "held": .array(held.map(\.json)), "waitsFor": .array(missing.map { .string($0) }),
      "windowCount": JSON(windowCount),
      "windows": .array(
        windows.map { id, window in
          [
            "kind": .string(id.kind.rawValue), "key": .string(id.key),
            "since": .string(window.opened.description), "until": text(window.due),
            "let": JSON(window.count), "events": .array(window.events.prefix(100).map(\.json)),
            "eventCount": JSON(window.events.count),
          ]
        }
      ),
      "firings": [
        "waiting": JSON(waiting), "more": .bool(hasMore), "since": text(since),
        "hold": hold.map { .string($0.kind.rawValue) } ?? .null, "until": text(hold?.until),
        "unfinished": JSON(unfinished),
      ],
    ]
  }

  private func text(_ time: Timestamp?) -> JSON { time.map { .string($0.description) } ?? .null }
}

extension EventReference {
  fileprivate var json: JSON {
    [
      "dependency": .string(dependency), "event": .string(eventID), "source": .string(source),
      "since": time.map { .string($0.description) } ?? .null,
    ]
  }
}
