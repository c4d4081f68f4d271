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
  private struct Place {
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
    /// Whether the hook was as it should be once since the start.
    var isSettled = false
    /// Whether the hook is to be written whatever it is like: a secret cannot be compared.
    var isWriteDue = false
    /// Whether that was done because the forge was answered that its signature does not hold.
    var isSecretRenewed = false
  }

  private let keeper: HookKeeper
  /// Takes what a hook would have sent, by its headers and body.
  private let take: @Sendable (Headers, [UInt8]) async -> Response
  /// The id under which a delivery to a hook is stored.
  private let eventID: @Sendable (_ hook: String, _ delivery: String) -> String
  private var places: [HookTarget: Place] = [:]
  private var secret: [UInt8]?

  /// The list of hooks is asked for at every so manieth look where deliveries are told of.
  private static let listEvery = 10
  private static let waitMax = Duration.seconds(300)
  /// Deliveries asked for again in one look, and pages of them read.
  private static let remediesMax = 100
  private static let pagesMax = 200
  /// What is left to others of the calls that the forge allows.
  private static let callsReserve = 100
  /// More deliveries are not named in a notice.
  private static let namesMax = 100

  init(
    _ keeper: HookKeeper,
    take: @escaping @Sendable (Headers, [UInt8]) async -> Response,
    eventID: @escaping @Sendable (_ hook: String, _ delivery: String) -> String
  ) {
    self.keeper = keeper
    self.take = take
    self.eventID = eventID
  }

  private var host: any SourceHost { keeper.host }
  private var name: EventSourceName { keeper.name }
  private var interval: Duration { keeper.registration.interval }

  /// Goes round until the task is cancelled.
  mutating func run() async {
    secret = currentSecret
    let now = MonotonicTime.now()
    for target in keeper.registration.targets {
      places[target] = Place(hook: noted("hook", target)?["id"]?.asString, due: now)
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
    let place = places[target]
    let tells = keeper.registration.access.kind == .github
    if tells, let hook = place?.hook, let looks = place?.looks, looks % Self.listEvery != 0 {
      places[target]?.looks += 1
      return try await heal(hook, target)
    }
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
        step = .update(id: id, ["with the old secret"])
      }
      let hook = try await keeper.carryOut(step, at: target)
      if step.isChange { say(.info, "hooks: \(step)", target, []) }
      if planned.isChange, isBehindOurBack(planned, target) {
        let found = JSON.Member(key: "found", value: .string("\(planned)"))
        await noticeGap(target, "\(host.now())", [found])
      }
      if let hook {
        let isNew = hook != known
        places[target]?.hook = hook
        if isNew { await note("hook", target, ["id": .string(hook)]) }
        if case .create = step {
          // Of a hook that we made everything is ours to ask for, also after a crash.
          await settle(0, "\(target) \(hook)")
          let ledger = DeliveryLedger(settledThrough: 0, interval: interval)
          places[target]?.ledger = ledger
        }
      }
    }
    places[target]?.isWriteDue = false
    places[target]?.isSettled = true
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
    for (key, value) in host.places(of: name) {
      guard let text = key.behind("hook "), let hook = value["id"]?.asString,
        !keeper.registration.targets.contains(where: { $0.description == text })
      else { continue }
      let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
      guard parts.count == 2, let scope = HookTarget.Scope(rawValue: parts[0]) else { continue }
      let target = HookTarget(scope, parts[1])
      if keeper.registration.deletes, let client = keeper.client {
        do throws(ForgeError) {
          try await client.remove(hook, at: target)
          say(.info, "hooks: removed hook \(hook): its target left the entry", target, [])
        } catch {
          say(.warning, "a hook could not be removed", target, [("why", error.description)])
          continue
        }
      } else {
        say(.info, "hooks: hook \(hook) stays: its target left the entry", target, [])
      }
      await note("hook", target, nil)
    }
  }

  // MARK: The secret

  private var currentSecret: [UInt8]? {
    keeper.secret.flatMap { selector in
      try? host.secrets.secret(name: selector.name, key: selector.key).reveal()
    }
  }

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

  // MARK: Deliveries that did not arrive

  private mutating func heal(_ hook: String, _ target: HookTarget) async throws(ForgeError) {
    guard let client = keeper.client else { return }
    let key = "\(target) \(hook)"
    var ledger: DeliveryLedger
    if let known = places[target]?.ledger {
      ledger = known
    } else if let settled = host.places(of: name)["deliveries " + key]?.wholeNumber {
      ledger = DeliveryLedger(settledThrough: settled, interval: interval)
    } else {
      // What was sent before we knew the hook is not ours to ask for.
      let newest = try await client.deliveries(of: hook, at: target, page: nil).deliveries.first
      let fresh = DeliveryLedger(settledThrough: newest?.id ?? 0, interval: interval)
      places[target]?.ledger = fresh
      return await settle(newest?.id ?? 0, key)
    }
    let before = ledger.settledThrough
    ledger.settle { host.isStored(eventID(hook, $0), of: name) }
    let (attempts, callsLeft) = try await walk(client, hook, target, through: ledger.newest)
    let missing = ledger.take(attempts, at: .now()) { attempt in
      // Under a filter what was answered may have been left out.
      host.hasFilter && attempt.isAnswered || host.isStored(eventID(hook, attempt.guid), of: name)
    }
    if !missing.isEmpty { await report(missing, hook, target) }
    // A delivery that was answered with 401 shows that the forge has another secret.
    let isRefused = attempts.first?.status == 401 && keeper.secret != nil
    if isRefused, places[target]?.isSecretRenewed == false {
      places[target]?.isSecretRenewed = true
      say(.warning, "the forge signs with another secret: it is given ours", target, [])
      _ = try await keeper.carryOut(.update(id: hook, ["another secret"]), at: target)
    } else if attempts.first?.isAnswered == true {
      places[target]?.isSecretRenewed = false
    }
    try await remedy(&ledger, client, hook, target, callsLeft)
    places[target]?.ledger = ledger
    if ledger.settledThrough != before || host.places(of: name)["deliveries " + key] == nil {
      await settle(ledger.settledThrough, key)
    }
  }

  /// The attempts after `newest`, and the calls that are left.
  private func walk(
    _ client: ForgeClient,
    _ hook: String,
    _ target: HookTarget,
    through newest: Int
  ) async throws(ForgeError) -> (attempts: [DeliveryLedger.Attempt], callsLeft: Int?) {
    var found: [DeliveryLedger.Attempt] = []
    var page: String?
    var pages = 0
    while true {
      let (deliveries, answer) = try await client.deliveries(of: hook, at: target, page: page)
      found += deliveries.filter { $0.id > newest }
        .map { DeliveryLedger.Attempt(id: $0.id, guid: $0.guid, status: $0.status) }
      pages += 1
      page = answer.next
      let isReached = deliveries.contains { $0.id <= newest }
      if isReached || page == nil || pages >= Self.pagesMax { return (found, answer.callsLeft) }
      if let left = answer.callsLeft, left < Self.callsReserve {
        throw ForgeError(.later(after: .seconds(60)), "few calls are left at the forge: \(left)")
      }
    }
  }

  private mutating func remedy(
    _ ledger: inout DeliveryLedger,
    _ client: ForgeClient,
    _ hook: String,
    _ target: HookTarget,
    _ callsLeft: Int?
  ) async throws(ForgeError) {
    // What is known of tries must outlive a call that fails.
    defer { places[target]?.ledger = ledger }
    var left = callsLeft
    for (guid, remedy) in ledger.due(at: .now(), limit: Self.remediesMax) {
      if Task.isCancelled { return }
      if let left, left < Self.callsReserve { return }
      ledger.tried(guid, at: .now())
      do throws(ForgeError) {
        switch remedy {
        case .redeliver(let attempt):
          left = try await client.redeliver(attempt, of: hook, at: target).callsLeft
        case .fetch(let attempt): try await fetch(attempt, hook, target)
        case .giveUp:
          ledger.drop(guid)
          say(.error, "a delivery is lost", target, [("delivery", guid)])
          await noticeGap(target, "lost \(guid)", [.init(key: "lost", value: .string(guid))])
        }
      } catch {
        // One that the forge cannot send is told of at its end; what concerns all is told now.
        if case .later = error.kind { throw error }
      }
    }
  }

  private func fetch(_ attempt: Int, _ hook: String, _ target: HookTarget) async throws(ForgeError)
  {
    guard let client = keeper.client else { return }
    let (sent, body) = try await client.fetch(attempt, of: hook, at: target)
    var headers = Headers(sent.map { .init($0.name, $0.value) })
    headers.replace("Content-Type", "application/json")
    headers.replace("X-GitHub-Hook-ID", hook)
    let response = await take(headers, body.encoded())
    say(
      .info,
      "a delivery was fetched from the forge",
      target,
      [("attempt", "\(attempt)"), ("status", "\(response.status)")]
    )
  }

  // MARK: Telling

  private func report(_ missing: [String], _ hook: String, _ target: HookTarget) async {
    say(.warning, "deliveries did not arrive", target, [("count", "\(missing.count)")])
    let names = missing.prefix(Self.namesMax).map { JSON.string($0) }
    await noticeGap(
      target,
      "\(hook) \(missing.first ?? "") \(missing.count)",
      [
        .init(key: "hook", value: .string(hook)), .init(key: "missing", value: JSON(missing.count)),
        .init(key: "deliveries", value: .array(Array(names))),
      ]
    )
  }

  private func noticeGap(_ target: HookTarget, _ id: String, _ data: [JSON.Member]) async {
    let about = [JSON.Member(key: "target", value: .string(target.description))] + data
    await append([host.notice("gap", id: "\(target) \(id)", about, about: name)], [])
  }

  private func settle(_ attempt: Int, _ key: String) async {
    await append([], [SourcePlace(key: "deliveries " + key, value: JSON(attempt))])
  }

  private func noted(_ what: String, _ target: HookTarget) -> JSON? {
    host.places(of: name)["\(what) \(target)"]
  }

  private func note(_ what: String, _ target: HookTarget, _ value: JSON?) async {
    await append([], [SourcePlace(key: "\(what) \(target)", value: value)])
  }

  /// What cannot be stored now is found again: the forge is the truth about hooks.
  private func append(_ events: [Event], _ places: [SourcePlace]) async {
    do throws(SinkError) { _ = try await host.append(events, places: places, from: name) } catch {
      host.log(
        .warning,
        "what was found of hooks could not be stored",
        [("source", "\(name)"), ("why", "\(error)")]
      )
    }
  }

  private func say(
    _ level: SourceLogLevel,
    _ message: String,
    _ target: HookTarget,
    _ fields: [(String, String)]
  ) {
    host.log(level, message, [("source", "\(name)"), ("target", target.description)] + fields)
  }
}
