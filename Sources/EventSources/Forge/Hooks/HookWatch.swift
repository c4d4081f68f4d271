import Event
import ForgeAPI
import HTTP
import JSON
import Manifest
import Plugin
import Posix

/// Keeps the hooks of an entry while the program runs: makes them, repairs what others changed, and
/// finds what did not arrive. One task for an entry, so nobody else of this program writes there.
///
/// A target that is well costs one call in each interval: the list of its hooks, or where the forge
/// tells of deliveries, mostly those.
struct HookWatch {
  /// What is known of one target.
  struct Place {
    var hook: String?
    /// Looks since the list of hooks was asked for.
    var looks = 0
    var failures = 0
    var due: MonotonicTime
    /// What was complained of last, so that it is said once.
    var complaint = ""
    /// In the forge's words, while it does not call the hook.
    var trouble: String?
    var ledger: DeliveryLedger?
    /// What deliveries call the hook in their headers, where that is not its id.
    var sender: String?
    var rest: Rest?
    /// When deliveries were asked for again in the last minute.
    var askedAgain: [MonotonicTime] = []
    /// Until then the forge is not asked for deliveries: it said that it has no list of them.
    var mutedUntil: MonotonicTime?
    /// Whether the hook was as it should be once since the start.
    var isSettled = false
    /// Whether the hook is to be written whatever it is like: no forge tells a secret.
    var isWriteDue = false
    /// Whether that was done because the forge was answered that its signature does not hold.
    var isSecretRenewed = false
  }

  let keeper: HookKeeper
  /// Takes what a hook would have sent, by its headers and body.
  let take: @Sendable (Headers, [UInt8]) async -> Response
  /// The id under which a delivery to a hook is stored.
  let eventID: @Sendable (_ hook: String, _ delivery: String) -> String
  var places: [HookTarget: Place] = [:]
  private var secret: [UInt8]?

  private static let waitMax = Duration.seconds(300)

  init(
    _ keeper: HookKeeper,
    take: @escaping @Sendable (Headers, [UInt8]) async -> Response,
    eventID: @escaping @Sendable (_ hook: String, _ delivery: String) -> String
  ) {
    self.keeper = keeper
    self.take = take
    self.eventID = eventID
  }

  var host: any SourceHost { keeper.host }
  var name: EventSourceName { keeper.name }
  var interval: Duration { keeper.registration.interval }

  /// Goes round until the task is cancelled.
  mutating func run() async {
    secret = currentSecret
    let now = MonotonicTime.now()
    for target in keeper.registration.targets {
      let record = record(target)
      var place = Place(hook: record?.id, due: now)
      // Changed while nothing ran, or a hook that others have made.
      place.isWriteDue = secretDigest != nil && record?.secretDigest != secretDigest
      places[target] = place
    }
    await leave()
    while !Task.isCancelled {
      await look()
      let next = places.values.map(\.due).min() ?? .now() + interval
      let wait = next - .now()
      if wait > .zero { await host.sleep(for: wait) }
    }
  }

  /// Looks at every target whose time has come.
  private mutating func look() async {
    noticeNewSecret()
    for target in keeper.registration.targets {
      guard !Task.isCancelled, let place = places[target], place.due <= .now() else { continue }
      do throws(ForgeError) {
        try await look(at: target)
        places[target]?.failures = 0
        places[target]?.complaint = ""
        let due = MonotonicTime.now() + interval
        places[target]?.due = due
      } catch {
        fail(target, error)
      }
    }
  }

  private mutating func look(at target: HookTarget) async throws(ForgeError) {
    guard let place = places[target], let hook = place.hook,
      let row = keeper.registration.access.kind.deliveryRow, place.looks % row.hooksEvery != 0,
      place.mutedUntil.map({ $0 <= .now() }) != false
    else { return try await list(target) }
    places[target]?.looks += 1
    do throws(ForgeError) { try await heal(hook, target) } catch {
      guard error.kind == .refused(status: 404) else { throw error }
      try await list(target)
      // The hook is there, so it is the list that is not: GitLab before version 17.3.
      guard places[target]?.hook == hook else { return }
      places[target]?.mutedUntil = .now() + .seconds(3600)
      say(.warning, "the forge does not tell which deliveries arrived", target, [("hook", hook)])
    }
  }

  /// Looks at the list of hooks.
  private mutating func list(_ target: HookTarget) async throws(ForgeError) {
    try await reconcile(target)
    places[target]?.looks = 1
  }

  private mutating func fail(_ target: HookTarget, _ error: ForgeError) {
    if Task.isCancelled { return }
    let failures = (places[target]?.failures ?? 0) + 1
    var wait = min(Duration.seconds(10) * (1 << min(failures - 1, 6)), Self.waitMax)
    if case .later(let after?) = error.kind { wait = max(wait, after) }
    if case .refused = error.kind { wait = Self.waitMax }
    places[target]?.failures = failures
    let due = MonotonicTime.now() + max(wait, interval)
    places[target]?.due = due
    // The list first, then: the hook may be gone.
    places[target]?.looks = 0
    if places[target]?.complaint != error.description {
      say(.warning, "hooks cannot be kept", target, [("why", error.description)])
    }
    places[target]?.complaint = error.description
    host.show(.errors("hooks"), from: name)
  }

  // MARK: Hooks as they should be

  private mutating func reconcile(_ target: HookTarget) async throws(ForgeError) {
    let known = places[target]?.hook
    let (steps, hooks) = try await keeper.plan(target, known: known)
    for planned in steps {
      var step = planned
      if case .keep(let id) = planned, places[target]?.isWriteDue == true {
        step = .update(id: id, ["perhaps with another secret"])
      }
      let hook = try await keeper.carryOut(step, at: target)
      if step.isChange { say(.info, "hooks: \(step)", target, []) }
      if planned.isChange, isBehindOurBack(planned, target) {
        let found = JSON.Member(key: "found", value: .string("\(planned)"))
        await noticeGap(target, "\(host.now())", [found])
      }
      if let hook {
        places[target]?.hook = hook
        if hook != known {
          places[target]?.ledger = nil
          places[target]?.sender = nil
          places[target]?.rest = nil
        }
        if case .create = step { await begin(hook, target) }
      }
    }
    places[target]?.isWriteDue = false
    places[target]?.isSettled = true
    if let hook = places[target]?.hook {
      let record = HookRecord(target, id: hook, secretDigest: secretDigest, keeper.registration)
      if record != self.record(target) {
        await append([], [SourcePlace(key: record.key, value: record.value)])
      }
    }
    for hook in hooks where hook.id == places[target]?.hook {
      if let trouble = hook.trouble { try await enable(hook, trouble, target) }
      places[target]?.trouble = hook.trouble
    }
  }

  /// Whether others did away with what was there: an edit of the entry changes hooks too.
  private func isBehindOurBack(_ step: HookStep, _ target: HookTarget) -> Bool {
    if case .create = step { return places[target]?.hook != nil }
    return places[target]?.isSettled == true
  }

  /// A hook that the forge has stopped calling: what happened meanwhile was never sent.
  private mutating func enable(
    _ hook: FoundHook,
    _ trouble: String,
    _ target: HookTarget
  ) async throws(ForgeError) {
    if places[target]?.trouble != trouble {
      say(.warning, "the forge has stopped calling a hook", target, [("state", trouble)])
      let found = JSON.Member(key: "found", value: .string(trouble))
      await noticeGap(target, "\(trouble) \(host.now())", [found])
      places[target]?.trouble = trouble
    }
    guard let client = keeper.client, let event = keeper.registration.events.first else { return }
    try await client.test(hook.id, event, at: target)
    say(.info, "the forge was asked to try the hook", target, [("hook", hook.id)])
  }

  /// Hooks at targets that are no longer in the entry.
  private func leave() async {
    let targets = keeper.registration.targets
    for record in HookRecord.all(in: host.places(of: name)) where !targets.contains(record.target) {
      let (target, hook) = (record.target, record.id)
      if keeper.registration.deletes {
        do throws(ForgeError) {
          let client = try record.client(host) ?? keeper.client
          try await client?.remove(hook, at: target)
          say(.info, "hooks: removed hook \(hook): its target left the entry", target, [])
        } catch {
          say(.warning, "a hook could not be removed", target, [("why", error.description)])
          continue
        }
      } else {
        say(.info, "hooks: hook \(hook) stays: its target left the entry", target, [])
      }
      await append([], record.forgotten)
    }
  }

  // MARK: The secret

  private var currentSecret: [UInt8]? {
    keeper.secret.flatMap { selector in
      try? host.secrets.secret(name: selector.name, key: selector.key).reveal()
    }
  }

  private var secretDigest: String? { secret.flatMap { host.digest(ofSecret: $0) } }

  /// A secret that was changed while the program runs is given to the forge.
  private mutating func noticeNewSecret() {
    guard let now = currentSecret, now != secret else { return }
    secret = now
    for target in places.keys {
      places[target]?.looks = 0
      places[target]?.due = .now()
      places[target]?.isWriteDue = true
    }
  }

  // MARK: Telling

  func noticeGap(_ target: HookTarget, _ id: String, _ data: [JSON.Member]) async {
    let about = [JSON.Member(key: "target", value: .string(target.description))] + data
    await append([host.notice("gap", id: "\(target) \(id)", about, about: name)], [])
  }

  private func record(_ target: HookTarget) -> HookRecord? {
    let key = HookRecord.key(target)
    return host.places(of: name)[key].flatMap { HookRecord(key: key, $0) }
  }

  /// What cannot be stored now is found again: the forge is the truth about hooks.
  func append(_ events: [Event], _ places: [SourcePlace]) async {
    do throws(SinkError) { _ = try await host.append(events, places: places, from: name) } catch {
      host.log(
        .warning,
        "what was found of hooks could not be stored",
        [("source", "\(name)"), ("why", "\(error)")]
      )
    }
  }

  func say(
    _ level: SourceLogLevel,
    _ message: String,
    _ target: HookTarget,
    _ fields: [(String, String)]
  ) {
    host.log(level, message, [("source", "\(name)"), ("target", target.description)] + fields)
  }
}
