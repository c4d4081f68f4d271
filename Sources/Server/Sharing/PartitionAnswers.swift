import Engine
import Event
import JSON
import Sensor

/// Answers for a process of a shared bus: each question goes to the partition that it means, or to
/// all that the process owns, whose answers become one.
struct PartitionAnswers: Sendable {
  private let owned: [(partition: Int, installation: Installation)]
  /// Of the whole bus.
  private let plan: EnginePlan
  private let map: PartitionMap

  init(_ figures: PartitionFigures, of partitions: Int, _ plan: EnginePlan) {
    owned = figures.all.map { ($0, $1.installation) }
    self.plan = plan
    map = PartitionMap(owned: owned.map(\.partition), of: partitions)
  }

  /// As `Installation.explain`.
  func explain(_ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let question = EventQuestion(request) else { return EventQuestion.refusal }
    let explanation = SharedExplanation(question, plan, map)
    let asked = explanation.asked().partitions
    var findings: [(partition: Int, Findings)] = []
    for (partition, installation) in owned where asked.contains(partition) {
      findings.append((partition, await installation.findings(question)))
    }
    return explanation.answer(findings)
  }

  /// As `Installation.pending`.
  func pending(_ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let question = PendingQuestion(request) else { return PendingQuestion.malformed }
    var found: [(partition: Int, pending: [Pending])] = []
    for (partition, installation) in owned {
      found.append((partition, await installation.engine.pending(of: question.sensor)))
    }
    return SharedPending(question, plan, map).answer(isRunning: true, found)
  }

  /// As `Installation.deadLetters`.
  func deadLetters(_ path: String, _ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let choice = LetterChoice(request: request) else { return LetterChoice.malformed }
    if let refusal = choice.refusal(map, plan) { return refusal }
    let letters = SharedLetters(map: map) { partition, verb, request in
      guard let one = owned.first(where: { $0.partition == partition }) else { return (false, [:]) }
      return await one.installation.deadLetters("/deadletters/" + verb, request.encoded())
    }
    let verb = String(path.dropFirst("/deadletters/".count))
    let json = (try? JSON(parsing: request)) ?? .object([])
    return await letters.answer(verb, json)
  }

  /// As `Installation.replay`.
  func replay(_ request: [UInt8]) async -> ReplayAnswer {
    guard let question = EventQuestion(request) else { return ReplayAnswer.malformed }
    do { return try await replay(question) } catch {
      return ReplayAnswer(isRefused: true, messages: ["not replayed: \(error)"])
    }
  }

  private func replay(_ question: EventQuestion) async throws -> ReplayAnswer {
    if let sensor = question.sensor {
      guard plan.interlocking.sensors.contains(where: { $0.id == sensor }) else {
        throw Engine.ReplayError.noSensor(sensor)
      }
      if let absence = map.absence(of: sensor) {
        throw DataFolder.Problem("sensor \(sensor) \(absence)")
      }
    }
    var found: [(installation: Installation, partition: Int, events: [Event])] = []
    for (partition, installation) in owned
    where question.sensor.map({ map.home($0) == partition }) ?? true {
      let events = try await installation.engine.replayable(
        question.event,
        of: question.source,
        at: question.sensor
      )
      if !events.isEmpty { found.append((installation, partition, events)) }
    }
    // Before anything fires: each partition alone might find but one of them.
    let names = Set(found.flatMap(\.events).map { "\($0.namespace)/\($0.source)" })
    if names.count > 1 { throw Engine.ReplayError.several(names.sorted()) }
    guard let event = found.first?.events.first else {
      let error = Engine.ReplayError.noEvent(question.event)
      throw DataFolder.Problem("\(error), of those in partitions \(map.list)\(map.others)")
    }
    var answers: [(partition: Int, answer: ReplayAnswer)] = []
    for (installation, partition, _) in found {
      answers.append((partition, await installation.replay(question)))
    }
    let missed =
      question.sensor == nil ? missed(EventKey(event), Set(answers.map(\.partition))) : []
    return ReplayAnswer(answers, missed)
  }

  /// The sensors that want an event and do not get it, and why.
  private func missed(_ key: EventKey, _ partitions: Set<Int>) -> [String] {
    plan.interlocking.sensors.filter { $0.dependencies.contains { $0.key == key } }
      .compactMap { sensor in
        map.absence(of: sensor.id, from: partitions).map { "sensor \(sensor.id) \($0)" }
      }
  }
}
