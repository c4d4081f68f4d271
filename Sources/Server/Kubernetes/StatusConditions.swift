import JSON

/// The `status` of an object: the conditions that users of Argo Events know, and `Ready`.
struct StatusConditions {
  let verdict: DocumentVerdict

  /// Characters of a message; Kubernetes takes 32768 bytes.
  private static let messageMax = 8000
  private static let problemsMax = 20

  /// `Loaded`, `Refused`, or `PreviousKept` where an earlier generation stays in force.
  var reason: String {
    switch verdict.force {
    case .current: "Loaded"
    case .previous: "PreviousKept"
    case .none: "Refused"
    }
  }

  /// What `validate` prints, with fields in the place of positions.
  var message: String {
    var parts = verdict.errors.isEmpty ? verdict.warnings.map(\.description) : []
    parts += verdict.errors.map(\.description)
    let more = parts.count - Self.problemsMax
    var text = parts.prefix(Self.problemsMax).joined(separator: "; ")
    if more > 0 { text += "; and \(more) more" }
    if case .previous(let generation) = verdict.force {
      text += "; generation \(generation) stays in force"
    }
    return String(text.prefix(Self.messageMax))
  }

  /// Type and whether it holds.
  private var conditions: [(type: String, holds: Bool)] {
    func areFine(_ prefix: String) -> Bool {
      !verdict.errors.contains { $0.field.hasPrefix(prefix) }
    }
    let isGood = verdict.errors.isEmpty
    let own: [(String, Bool)] =
      switch verdict.key.kind {
      case "EventSource": [("SourcesProvided", isGood)]
      case "Sensor":
        [
          ("DependenciesProvided", areFine("spec.dependencies")),
          ("TriggersProvided", areFine("spec.triggers")),
        ]
      default: [("Configured", isGood)]
      }
    return own + [("Deployed", verdict.force != .none), ("Ready", isGood)]
  }

  /// The status to write; nil where `old` says the same. Conditions of others stay.
  /// - Parameter now: as `lastTransitionTime` of what changes.
  func status(over old: JSON, now: String) -> JSON? {
    let before = old["conditions"]?.items ?? []
    let wanted = conditions.map { type, holds -> JSON in
      let last = before.first { $0["type"]?.asString == type }
      let status: JSON = holds ? "True" : "False"
      let isSame = last?["status"] == status
      let tellsWhy = !holds || type == "Ready"
      var condition: JSON = [
        "type": .string(type), "status": status,
        "reason": .string(holds ? "Loaded" : reason),
        "message": .string(tellsWhy ? message : ""),
        "observedGeneration": JSON(verdict.generation),
      ]
      let since = isSame ? last?["lastTransitionTime"] : nil
      condition.set(since ?? .string(now), at: "lastTransitionTime")
      return condition
    }
    let ours = Set(conditions.map(\.type))
    let others = before.filter { !ours.contains($0["type"]?.asString ?? "") }
    let all = sorted(others + wanted)
    if old["observedGeneration"]?.wholeNumber == verdict.generation,
      all.map(bare) == sorted(before).map(bare)
    {
      return nil
    }
    return ["observedGeneration": JSON(verdict.generation), "conditions": .array(all)]
  }

  private func sorted(_ conditions: [JSON]) -> [JSON] {
    conditions.sorted { ($0["type"]?.asString ?? "") < ($1["type"]?.asString ?? "") }
  }

  /// Servers write members in an order of their own.
  private func bare(_ condition: JSON) -> [String: String] {
    Dictionary(condition.members.map { ($0.key, $0.value.text) }) { _, last in last }
  }
}
