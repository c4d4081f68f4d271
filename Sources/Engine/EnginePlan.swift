package import Event
package import JSON
package import Plugin
package import Sensor

/// One trigger, ready to act.
package struct TriggerPlan: Sendable {
  package let id: TriggerID
  package let bus: String
  package let kind: String
  /// How many firings may run at once.
  package let concurrency: Int
  /// Fingerprint of the definition.
  package let generation: String
  package let retry: RetrySchedule
  /// What fires when this one has failed for good; nil: it then is a dead letter.
  package var deadLetterTrigger: TriggerID?
  /// What holds its firings back.
  package var flow = FlowPlan()
  /// Whether the data of a dependency are a list, as several of its events may be in one firing.
  package var listsEvents = false
  package let statusAllow: [Int]?
  /// The trigger as written.
  package let trigger: any Trigger
  /// Its fields as written, below the key of its kind.
  package let fields: JSON
  /// Parameters over the template: destinations begin with the kind.
  package let templateParameters: [Parameter]
  /// Parameters over the fields.
  package let parameters: [Parameter]
  /// Whether those are for the object that the trigger acts on instead.
  package let parametersChangeObject: Bool
  package let payload: [Parameter]
  /// What dependencies do to their events before anybody sees them, by name.
  package let transforms: [String: EventTransform]
  /// Makes the trigger anew from fields that parameters changed.
  package let remake: @Sendable (JSON) throws(ParameterError) -> any Trigger

  package init(
    id: TriggerID,
    bus: String,
    kind: String,
    concurrency: Int,
    generation: String,
    retry: RetrySchedule,
    statusAllow: [Int]?,
    trigger: any Trigger,
    fields: JSON,
    templateParameters: [Parameter],
    parameters: [Parameter],
    parametersChangeObject: Bool = false,
    payload: [Parameter],
    transforms: [String: EventTransform] = [:],
    remake: @escaping @Sendable (JSON) throws(ParameterError) -> any Trigger
  ) {
    self.id = id
    self.bus = bus
    self.kind = kind
    self.concurrency = concurrency
    self.generation = generation
    self.retry = retry
    self.statusAllow = statusAllow
    self.trigger = trigger
    self.fields = fields
    self.templateParameters = templateParameters
    self.parameters = parameters
    self.parametersChangeObject = parametersChangeObject
    self.payload = payload
    self.transforms = transforms
    self.remake = remake
  }

  /// The events of a firing as its dependencies saw them.
  package func transformed(
    _ events: [(dependency: String, event: Event)]
  ) throws(TransformError) -> [(dependency: String, event: Event)] {
    var changed = events
    for (place, event) in events.enumerated() {
      guard let transform = transforms[event.dependency] else { continue }
      changed[place].event = try transform.applied(to: event.event)
    }
    return changed
  }

  /// Whether its fields depend on the events of a firing.
  var isParameterised: Bool { !(templateParameters.isEmpty && parameters.isEmpty) }

  /// What acts for a firing of `events`, and with which payload.
  package func render(
    _ events: [(dependency: String, event: Event)]
  ) throws(ParameterError) -> Rendered {
    var source = FiringEvents(events, asLists: listsEvents)
    var payload = try payload.payload(&source)
    if listsEvents, payload == nil { payload = JSON.object(FiringEvents.lists(events)).encoded() }
    if !isParameterised {
      return Rendered(trigger: trigger, payload: payload, isParameterised: false, fields: fields)
    }
    let template: JSON = .object([.init(key: kind, value: fields)])
    let changed = try templateParameters.applied(to: template, &source)[kind] ?? fields
    let final =
      parametersChangeObject ? changed : try parameters.applied(to: changed, &source)
    return Rendered(
      trigger: try remake(final),
      payload: payload,
      isParameterised: true,
      fields: final
    )
  }

  /// The fields of a firing with what parameters do to the object that stands in them; an object
  /// that has to be had from elsewhere first is not known yet.
  /// - Throws: `ParameterError`.
  package func shownFields(
    _ rendered: Rendered,
    _ events: [(dependency: String, event: Event)]
  ) throws -> JSON {
    guard let object = rendered.fields.at("source", "resource") else { return rendered.fields }
    var fields = rendered.fields
    fields.set(try edit(events)(object), at: "source", "resource")
    return fields
  }

  /// What `Firing.edit` does for a firing of `events`.
  func edit(
    _ events: [(dependency: String, event: Event)]
  ) -> @Sendable (JSON) throws -> JSON {
    guard parametersChangeObject, !parameters.isEmpty else { return { $0 } }
    return { [parameters, listsEvents] object in
      var source = FiringEvents(events, asLists: listsEvents)
      return try parameters.applied(to: object, &source)
    }
  }

  /// A firing ready to be carried out.
  package struct Rendered {
    let trigger: any Trigger
    /// nil where the manifest has none.
    package let payload: [UInt8]?
    let isParameterised: Bool
    /// The fields of the trigger as parameters left them.
    package let fields: JSON
  }
}

/// All sensors and triggers of an installation, compiled once and never changed.
package struct EnginePlan: Sendable {
  package let interlocking: Interlocking
  package let triggers: [TriggerID: TriggerPlan]
  /// What sensors elsewhere wait for.
  fileprivate let awaitedElsewhere: Set<EventKey>
  /// Sensors that are in the manifests and cannot be in force now: their firings wait.
  package var refused: Set<SensorID>

  package init(
    sensors: [SensorPlan],
    triggers: [TriggerPlan],
    awaitedElsewhere: Set<EventKey> = [],
    refused: Set<SensorID> = []
  ) {
    interlocking = Interlocking(sensors)
    self.awaitedElsewhere = awaitedElsewhere
    self.refused = refused
    self.triggers = Dictionary(triggers.map { ($0.id, $0) }) { _, last in last }
  }
}

extension EnginePlan {
  /// Whether some sensor waits for events of `key`.
  func isAwaited(_ key: EventKey) -> Bool {
    interlocking.isAwaited(key) || awaitedElsewhere.contains(key)
  }

  /// Whether a trigger cannot act now although it may again.
  func isRefused(_ trigger: TriggerID) -> Bool {
    triggers[trigger] == nil && refused.contains(trigger.sensor)
  }
}

/// What the engine tells those who count. Called on the engine's loop; must not wait.
package struct EngineObserver: Sendable {
  package var judged:
    @Sendable (_ sensor: SensorID, _ dependency: String, FilterVerdictKind) -> Void
  package var fired: @Sendable (TriggerID) -> Void
  package var settled: @Sendable (TriggerID, Phase) -> Void
  package var stopped: @Sendable (TriggerID) -> Void
  /// A dead letter came to be: its trigger or dependency.
  package var died: @Sendable (SensorID, _ part: String, DeadLetter.Kind) -> Void
  /// So many firings of a trigger wait; 0: none any longer.
  package var held: @Sendable (TriggerID, Hold.Kind, Int) -> Void = { _, _, _ in }
  /// Events that windows let go without a firing: why, and how many.
  package var letGo: @Sendable (TriggerID, String, Int) -> Void = { _, _, _ in }

  package init(
    judged: @escaping @Sendable (SensorID, String, FilterVerdictKind) -> Void = { _, _, _ in },
    fired: @escaping @Sendable (TriggerID) -> Void = { _ in },
    settled: @escaping @Sendable (TriggerID, Phase) -> Void = { _, _ in },
    stopped: @escaping @Sendable (TriggerID) -> Void = { _ in },
    died: @escaping @Sendable (SensorID, String, DeadLetter.Kind) -> Void = { _, _, _ in }
  ) {
    self.died = died
    self.judged = judged
    self.fired = fired
    self.settled = settled
    self.stopped = stopped
  }
}

package enum FilterVerdictKind: String, Sendable { case passed, refused, error }
