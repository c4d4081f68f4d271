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
    } catch { return ReplayAnswer(isRefused: true, messages: ["not replayed: \(error)"]) }
  }
}

/// What came of a replay, in words.
struct ReplayAnswer: Sendable {
  /// Whether something fires, or waits for more events, and nothing was refused.
  let isDone: Bool
  /// Whether it was not done at all.
  let isRefused: Bool
  let messages: [String]

  init(isDone: Bool = false, isRefused: Bool, messages: [String]) {
    (self.isDone, self.isRefused, self.messages) = (isDone, isRefused, messages)
  }

  /// One of several partitions, where half of it is not done.
  /// - Parameter missed: lines of sensors that it does not reach.
  init(_ answers: [(partition: Int, answer: ReplayAnswer)], _ missed: [String]) {
    isRefused = answers.contains { $0.answer.isRefused }
    isDone = !isRefused && answers.contains { $0.answer.isDone }
    messages =
      answers.flatMap { partition, answer in
        answer.messages.map { "partition \(partition): \($0)" }
      } + missed
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
    isRefused = false
    if lines.count == 1 { lines.append("no sensor depends on it") }
    messages = lines
  }

  static let malformed = ReplayAnswer(
    isRefused: true,
    messages: ["found no event's id, expected 'event'"]
  )

  var json: JSON {
    ["replayed": .bool(isDone), "messages": .array(messages.map { .string($0) })]
  }
}
