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
  func answer(
    _ data: String,
    _ plan: EnginePlan,
    _ holds: [TriggerID: Hold] = [:]
  ) -> (isDone: Bool, JSON) {
    var explainer = Explainer(plan, event: event, source: source, sensor: sensor, holds: holds)
    do {
      var problem: NoteError?
      _ = try EventLogReader(folder: data + "/log").read { record in
        guard problem == nil else { return }
        do throws(NoteError) { try explainer.take(record) } catch { problem = error }
      }
      if let problem { throw problem }
      return (true, try explainer.explanation().json)
    } catch { return (false, ["error": .string("\(error)")]) }
  }
}

extension Installation {
  /// What became of an event, by the manifests in force.
  func explain(_ request: [UInt8]) async -> (isDone: Bool, JSON) {
    guard let question = EventQuestion(request) else {
      return (false, ["error": "found no event's id, expected 'event'"])
    }
    let holds = Dictionary(await engine.holds.map { ($0.trigger, $0.hold) }) { _, last in last }
    return await Self.explain(question, configuration.data, plan.engine, holds)
  }

  /// On no loop: a long log must keep nobody waiting.
  @concurrent private static func explain(
    _ question: EventQuestion,
    _ data: String,
    _ plan: EnginePlan,
    _ holds: [TriggerID: Hold]
  ) async -> (isDone: Bool, JSON) {
    question.answer(data, plan, holds)
  }
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
    question.answer(data, plan)
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
  fileprivate var json: JSON {
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
