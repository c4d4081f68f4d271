import Event
import JSON
import Manifest

/// Compares what happened on a stage with what a test expects.
struct Verdict {
  private let stage: Stage

  init(_ stage: Stage) { self.stage = stage }

  func differences(from test: TestManifest) -> [Difference] {
    firings(test) + test.refusals.enumerated().flatMap { refusal($1, $0) } + state(test)
  }

  // MARK: Firings

  private func firings(_ test: TestManifest) -> [Difference] {
    (0..<max(test.firings.count, stage.firings.count)).flatMap { index -> [Difference] in
      let place = "firings[\(index)]"
      guard index < test.firings.count else {
        return [Difference(place, expected: nil, found: summary(stage.firings[index]))]
      }
      let expected = test.firings[index]
      guard index < stage.firings.count else {
        return [Difference(place, expected: "\(expected.trigger) fires", found: nil)]
      }
      return firing(expected, stage.firings[index], place)
    }
  }

  private func summary(_ fired: Stage.Fired) -> String {
    let events = fired.events.map { "\($0.dependency): \($0.id)" }.joined(separator: ", ")
    return "\(fired.trigger) fires for {\(events)} at \(fired.time)"
  }

  private func firing(
    _ expected: TestFiring,
    _ fired: Stage.Fired,
    _ place: String
  ) -> [Difference] {
    guard expected.trigger == fired.trigger else {
      return [Difference(place, expected: "\(expected.trigger) fires", found: summary(fired))]
    }
    if let problem = fired.problem {
      return [Difference(place, expected: "the parameters fit", found: problem)]
    }
    var differences: [Difference] = []
    if let time = expected.time, Timestamp(rfc3339: time) != fired.time {
      differences.append(Difference(place + ".at", expected: time, found: "\(fired.time)"))
    }
    if let events = expected.events {
      let wanted = JSON.object(events.map { .init(key: $0.key, value: .string($0.value)) })
      let found = JSON.object(
        fired.eventsByDependency.map { .init(key: $0.dependency, value: .string($0.ids)) }
      )
      differences += Comparison.differences(
        wanted,
        found,
        at: place + ".events",
        isPartial: false
      )
    }
    if let payload = expected.payload {
      differences += self.payload(payload.json, fired.payload, place + ".payload")
    }
    if let fields = expected.fields {
      differences += Comparison.differences(
        fields.json,
        fired.fields,
        at: place + ".fields",
        isPartial: true
      )
    }
    return differences
  }

  /// A text is compared byte for byte where the payload is no JSON string.
  private func payload(_ expected: JSON, _ found: [UInt8]?, _ place: String) -> [Difference] {
    guard let found else { return [Difference(place, expected: expected.text, found: nil)] }
    let text = String(decoding: found, as: UTF8.self)
    if case .string(let wanted) = expected, wanted == text { return [] }
    guard let json = try? JSON(parsing: found) else {
      return [Difference(place, expected: expected.text, found: JSON.string(text).text)]
    }
    return Comparison.differences(expected, json, at: place, isPartial: false)
  }

  // MARK: What did not fire, and what is held

  private func refusal(_ expected: TestRefusal, _ index: Int) -> [Difference] {
    let place = "notFired[\(index)]"
    guard let reasons = stage.reasons[expected.event] else {
      let known = stage.eventIDs.sorted().joined(separator: ", ")
      return [
        Difference(place + ".event", expected: "one of \(known)", found: expected.event)
      ]
    }
    guard stage.triggers.contains(expected.trigger) else {
      let known = stage.triggers.joined(separator: ", ")
      return [Difference(place + ".trigger", expected: "one of \(known)", found: expected.trigger)]
    }
    let wanted = expected.reason.map { "not fired: …\($0)…" } ?? "not fired"
    guard let reason = reasons[expected.trigger] else {
      return [Difference(place, expected: wanted, found: "\(expected.trigger) fired")]
    }
    guard let part = expected.reason, !reason.contains(part) else { return [] }
    return [Difference(place + ".reason", expected: part, found: reason)]
  }

  private func state(_ test: TestManifest) -> [Difference] {
    guard let state = test.state else { return [] }
    var differences: [Difference] = []
    for (trigger, _) in state where !stage.triggers.contains(trigger) {
      let known = stage.triggers.joined(separator: ", ")
      differences.append(Difference("state", expected: "one of \(known)", found: trigger))
    }
    for trigger in stage.triggers {
      let wanted = state.first { $0.trigger == trigger }?.held ?? []
      let found = stage.held(by: trigger)
      differences += Comparison.differences(
        .object(wanted.map { .init(key: $0.key, value: .string($0.value)) }),
        .object(found.map { .init(key: $0.dependency, value: .string($0.ids)) }),
        at: "state.\(trigger)",
        isPartial: false
      )
    }
    return differences
  }
}
