import Bus
import Engine
import Event
import EventLog
package import Expression
package import JSON
package import Manifest
import Sensor

extension EventQuestion {
  /// Reads the whole log of a data folder, which a program may be writing to.
  func look(
    at data: String,
    _ plan: EnginePlan,
    _ holds: [TriggerID: Hold] = [:]
  ) -> Findings {
    var explainer = Explainer(plan, event: event, source: source, sensor: sensor, holds: holds)
    let result = Result {
      try EventLogReader(folder: data + "/log").fold { record throws(NoteError) in
        try explainer.take(record)
      }
      return try explainer.explanation()
    }
    return Findings(reading: explainer.reading, result: result)
  }
}

/// What one log says of an event.
struct Findings: Sendable {
  /// The sensors that read the log.
  let reading: Set<SensorID>
  let result: Result<Explanation, any Error>

  /// Why the log could not be read; nil: it was.
  var failure: (any Error)? {
    switch result {
    case .success: nil
    case .failure(let error): error is Explainer.Problem ? nil : error
    }
  }

  var answer: (isDone: Bool, JSON) {
    switch result {
    case .success(let explanation): (true, explanation.json)
    case .failure(let error): (false, ["error": .string("\(error)")])
    }
  }
}

extension Installation {
  /// What became of an event, by the manifests in force.
  func explain(_ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let question = EventQuestion(request) else { return EventQuestion.refusal }
    return await findings(question).answer
  }

  func findings(_ question: EventQuestion) async -> Findings {
    let holds = Dictionary(await engine.holds.map { ($0.trigger, $0.hold) }) { _, last in last }
    return await Self.look(question, configuration.data, plan.engine, holds)
  }

  /// On no loop: a long log must keep nobody waiting.
  @concurrent private static func look(
    _ question: EventQuestion,
    _ data: String,
    _ plan: EnginePlan,
    _ holds: [TriggerID: Hold]
  ) async -> Findings {
    question.look(at: data, plan, holds)
  }
}

extension EventQuestion {
  static let refusal: (isDone: Bool, JSON) = (
    false, ["error": "found no event's id, expected 'event'"]
  )
}

/// Explains events of a data folder on which nothing runs, by manifests that are read for it.
package struct ExplainFolder {
  let plan: EnginePlan
  /// What is wrong with the manifests; with an error among it nothing can be explained.
  package let found: [Diagnostic]

  /// - Parameter program: the path of this program, which runs jq.
  package init(manifests: [String], program: String, world: TemplateWorld) {
    let diagnostics = Diagnostics()
    let compiler = SensorCompiler(program: program, world: world)
    let set = SensorCompiler.reader(diagnostics).read(manifests)
    let plans = set.sensors.compactMap { compiler.plan($0, diagnostics) }
    plan = EnginePlan(
      sensors: plans.flatMap(\.interlocking.sensors),
      triggers: plans.flatMap(\.triggers.values)
    )
    found = diagnostics.sorted
  }

  /// Answers as the program that runs would.
  package func answer(_ question: EventQuestion, data: String) -> (isDone: Bool, JSON) {
    told { () throws(DataFolder.Problem) in
      let parts = try DataFolder(data).parts()
      let found = parts.map { ($0.partition, question.look(at: $0.path, plan)) }
      if case (nil, let only)? = found.first { return only.answer }
      let findings = found.compactMap { part, found in part.map { ($0, found) } }
      let map = PartitionMap(reading: findings.map { ($0, $1.reading) })
      return SharedExplanation(question, plan, map).answer(findings)
    }
  }

  func told(
    _ body: () throws(DataFolder.Problem) -> (isDone: Bool, JSON)
  ) -> (isDone: Bool, JSON) {
    do throws(DataFolder.Problem) { return try body() } catch {
      return (false, ["error": .string("\(error)")])
    }
  }
}

extension Explanation {
  var json: JSON {
    [
      "event": .string(event.id), "source": .string(event.source),
      "subject": .string(event.subject), "namespace": .string(event.namespace),
      "position": .string(position.description), "read": .bool(isRead),
      "sensors": .array(sensors.map(\.json)),
    ]
  }
}

extension Explanation.Part {
  var json: JSON {
    [
      "sensor": .string(sensor.description), "reading": .bool(isReading),
      "dependencies": .array(
        dependencies.map { dependency in
          [
            "name": .string(dependency.name), "takes": .bool(dependency.takes),
            "passes": .bool(dependency.takes && dependency.faults.isEmpty),
            "faults": .array(
              dependency.faults.map { fault in
                [
                  "clause": .string(fault.clause), "expected": .string(fault.wanted),
                  "found": .string(fault.found), "error": .bool(fault.isError),
                ]
              }
            ),
          ]
        }
      ),
      "triggers": .array(
        triggers.map { trigger in
          .object([.init(key: "name", value: .string(trigger.name))] + trigger.state.members)
        }
      ),
    ]
  }
}

extension Explanation.TriggerState {
  fileprivate var members: [JSON.Member] {
    func state(_ name: String, _ more: JSON.Member...) -> [JSON.Member] {
      [JSON.Member(key: "state", value: .string(name))] + more
    }
    func time(_ time: Timestamp?) -> JSON { time.map { .string($0.description) } ?? .null }
    return switch self {
    case .fired(let ids):
      state("fired", .init(key: "firings", value: .array(ids.map { .string($0.text) })))
    case .waits(let names):
      state("waits", .init(key: "for", value: .array(names.map { .string($0) })))
    case .replaced(let id): state("replaced", .init(key: "by", value: .string(id)))
    case .letGo: state("letGo")
    case .held(let hold, let ids):
      state(
        "held",
        .init(key: "hold", value: .string(hold.kind.rawValue)),
        .init(key: "until", value: time(hold.until)),
        .init(key: "firings", value: .array(ids.map { .string($0.text) }))
      )
    case .gathered(let kind, let until):
      state(
        "gathered",
        .init(key: "window", value: .string(kind.rawValue)),
        .init(key: "until", value: time(until))
      )
    case .notReached: state("notReached")
    case .notRead: state("notRead")
    }
  }
}
