import Engine
import Event
import JSON
import Sensor

extension Installation {
  /// Lets an event arrive once more. `request` is JSON: `event` (its id), and if wanted `sensor`
  /// and `source`.
  func replay(_ request: [UInt8]) async -> ReplayAnswer {
    guard let question = EventQuestion(request) else { return ReplayAnswer.malformed }
    return await replay(question)
  }

  func replay(_ question: EventQuestion) async -> ReplayAnswer {
    do throws(Engine.ReplayError) {
      return ReplayAnswer(
        try await engine.replay(question.event, of: question.source, at: question.sensor)
      )
    } catch { return ReplayAnswer(isDone: false, messages: ["not replayed: \(error)"]) }
  }
}

/// What came of a replay, in words.
struct ReplayAnswer: Sendable {
  /// Whether something fires, or waits for more events.
  let isDone: Bool
  let messages: [String]

  init(isDone: Bool, messages: [String]) {
    self.isDone = isDone
    self.messages = messages
  }

  init(_ replay: Engine.Replay) {
    let event = replay.event
    var lines = [
      "replay \(replay.number) of event \(event.id) (\(event.source) \(event.subject))"
    ]
    lines += replay.firings.map { "\($0.trigger) fires: firing \($0.id)" }
    lines += replay.waiting.map { "\($0) holds it and waits for other events" }
    lines += replay.stopped.map { "\($0) does not fire: its chain has reached the hop limit" }
    lines += replay.refusals.map { "\($0.sensor) does not want it: \($0.dependency): \($0.why)" }
    isDone = !replay.firings.isEmpty || !replay.waiting.isEmpty
    if lines.count == 1 { lines.append("no sensor depends on it") }
    messages = lines
  }

  static let malformed = ReplayAnswer(
    isDone: false,
    messages: ["found no event's id, expected 'event'"]
  )

  var json: JSON {
    ["replayed": .bool(isDone), "messages": .array(messages.map { .string($0) })]
  }
}
