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
    if let refusal = refusal(plan) { return refusal }
    return (true, ["running": .bool(isRunning), "pending": .array(pending.map(\.json))])
  }

  /// For a sensor that is in no manifest.
  func refusal(_ plan: EnginePlan) -> (isDone: Bool, JSON)? {
    guard let sensor, !plan.interlocking.sensors.contains(where: { $0.id == sensor }) else {
      return nil
    }
    return (false, ["error": .string("\(Explainer.Problem.noSensor(sensor))")])
  }

  init?(_ request: [UInt8]) {
    guard let json = request.isEmpty ? JSON.object([]) : try? JSON(parsing: request) else {
      return nil
    }
    self.init(json)
  }

  static let malformed: (isDone: Bool, JSON) = (
    false, ["error": "found no JSON with sensor, a text"]
  )
}

extension Installation {
  /// What triggers hold and wait for. `request` is JSON: `sensor`, if wanted.
  func pending(_ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let question = PendingQuestion(request) else { return PendingQuestion.malformed }
    let pending = await engine.pending(of: question.sensor)
    return question.answer(plan.engine, isRunning: true, pending)
  }
}

extension ExplainFolder {
  /// Answers as the program that runs would, as far as the log tells.
  package func pending(_ question: PendingQuestion, data: String) -> (isDone: Bool, JSON) {
    do {
      let parts = try DataFolder(data).parts()
      let readers = try parts.map { part in (part.partition, try part.naming { try read(part) }) }
      if case (nil, let only)? = readers.first {
        return question.answer(plan, isRunning: false, only.pending(of: question.sensor))
      }
      let found = readers.compactMap { part, reader in part.map { ($0, reader) } }
      let map = PartitionMap(reading: found.map { ($0, $1.reading) })
      return SharedPending(question, plan, map)
        .answer(found.map { ($0, $1.pending(of: question.sensor)) })
    } catch { return (false, ["error": .string("\(error)")]) }
  }

  private func read(_ part: DataFolder.Part) throws -> PendingReader {
    var reader = PendingReader(plan)
    try EventLogReader(folder: part.log).fold { record throws(NoteError) in
      try reader.take(record)
    }
    return reader
  }
}

extension Pending {
  var json: JSON {
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
