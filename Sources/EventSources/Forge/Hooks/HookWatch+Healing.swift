import ForgeAPI
import HTTP
import JSON
import Plugin
import Posix

/// Deliveries that did not arrive.
extension HookWatch {
  /// What a look did not come to, because there is more than one look reads.
  struct Rest {
    /// Where to go on; nil: from the newest delivery.
    var page: String?
    /// Everything up to this attempt was looked at before.
    let through: Int
  }

  /// What was read of a list of deliveries.
  private struct Reading {
    var attempts: [DeliveryLedger.Attempt] = []
    /// Of the forge's calls; nil where it does not say.
    var callsLeft: Int?
    /// The next page where the reading ended before its end.
    var next: String?
  }

  /// Deliveries asked for again in one look, and pages of them read.
  private static let remediesMax = 100
  static let pagesMax = 200
  /// What is left to others of the calls that the forge allows.
  private static let callsReserve = 100

  mutating func heal(_ hook: String, _ target: HookTarget) async throws(ForgeError) {
    guard let client = keeper.client else { return }
    let key = HookRecord.deliveriesKey(target, hook)
    var ledger: DeliveryLedger
    if let known = places[target]?.ledger {
      ledger = known
    } else if let settled = host.places(of: name)[key]?.wholeNumber {
      ledger = DeliveryLedger(settledThrough: settled, interval: interval)
    } else {
      // What was sent before we knew the hook is not ours to ask for.
      let newest = try await client.deliveries(of: hook, at: target, page: nil).deliveries.first
      let fresh = DeliveryLedger(settledThrough: newest?.id ?? 0, interval: interval)
      places[target]?.ledger = fresh
      return await settle(newest?.id ?? 0, key)
    }
    let before = ledger.settledThrough
    let sender = places[target]?.sender ?? hook
    ledger.settle { host.isStored(eventID(sender, $0), of: name) }
    let (reading, floor) = try await read(client, hook, target, ledger.newest)
    let known = places[target]?.sender ?? hook
    let missing = ledger.take(reading.attempts, after: floor, at: .now()) { attempt in
      // Under a filter what was answered may have been left out.
      host.hasFilter && attempt.isAnswered || host.isStored(eventID(known, attempt.guid), of: name)
    }
    ledger.leave(unreadAfter: places[target]?.rest?.through)
    if !missing.isEmpty { await report(missing, hook, target) }
    try await renewSecret(reading.attempts.first, hook, target)
    try await remedy(&ledger, client, hook, target, reading.callsLeft)
    places[target]?.ledger = ledger
    if ledger.settledThrough != before || host.places(of: name)[key] == nil {
      await settle(ledger.settledThrough, key)
    }
  }

  /// A delivery that was answered with 401 shows that the forge has another secret.
  private mutating func renewSecret(
    _ last: DeliveryLedger.Attempt?,
    _ hook: String,
    _ target: HookTarget
  ) async throws(ForgeError) {
    let isRefused = last?.status == 401 && keeper.secret != nil
    if isRefused, places[target]?.isSecretRenewed == false {
      places[target]?.isSecretRenewed = true
      say(.warning, "the forge signs with another secret: it is given ours", target, [])
      _ = try await keeper.carryOut(.update(id: hook, ["another secret"]), at: target)
    } else if last?.isAnswered == true {
      places[target]?.isSecretRenewed = false
    }
  }

  // MARK: Reading the list

  /// The attempts since the last look, and of what earlier looks did not come to.
  /// - Returns: they, and the attempt up to which all was looked at before.
  private mutating func read(
    _ client: ForgeClient,
    _ hook: String,
    _ target: HookTarget,
    _ newest: Int
  ) async throws(ForgeError) -> (Reading, floor: Int) {
    var pages = 0
    var reading = try await walk(client, hook, target, from: nil, through: newest, &pages)
    if let next = reading.next {
      // What is left of an earlier look is older, and read behind this.
      let through = places[target]?.rest?.through ?? newest
      if places[target]?.rest == nil { await reportRest(hook, target) }
      places[target]?.rest = Rest(page: next, through: through)
      return (reading, newest)
    }
    guard let rest = places[target]?.rest else { return (reading, newest) }
    do throws(ForgeError) {
      let more = try await walk(
        client,
        hook,
        target,
        from: rest.page,
        through: rest.through,
        &pages
      )
      reading.attempts += more.attempts
      reading.callsLeft = more.callsLeft
      places[target]?.rest = more.next.map { Rest(page: $0, through: rest.through) }
    } catch {
      guard case .refused = error.kind, rest.page != nil else { throw error }
      // A page's address does not last for ever.
      places[target]?.rest?.page = nil
    }
    return (reading, rest.through)
  }

  private mutating func walk(
    _ client: ForgeClient,
    _ hook: String,
    _ target: HookTarget,
    from first: String?,
    through newest: Int,
    _ pages: inout Int
  ) async throws(ForgeError) -> Reading {
    var reading = Reading()
    var page = first
    while true {
      let (deliveries, answer) = try await client.deliveries(of: hook, at: target, page: page)
      reading.attempts += deliveries.filter { $0.id > newest }.map(DeliveryLedger.Attempt.init)
      reading.callsLeft = answer.callsLeft
      if let sender = deliveries.first?.hook { places[target]?.sender = sender }
      pages += 1
      page = answer.next
      if page == nil || deliveries.contains(where: { $0.id <= newest }) { return reading }
      if pages >= Self.pagesMax {
        reading.next = page
        return reading
      }
      if let left = answer.callsLeft, left < Self.callsReserve {
        throw ForgeError(.later(after: .seconds(60)), "few calls are left at the forge: \(left)")
      }
    }
  }

  // MARK: What is done

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
    var wanted: Set<Int> = []
    for (guid, remedy) in ledger.due(at: .now(), limit: Self.remediesMax) {
      if Task.isCancelled { return }
      if let left, left < Self.callsReserve { return }
      ledger.tried(guid, at: .now())
      switch remedy {
      case .fetch(let attempt): wanted.insert(attempt)
      case .redeliver(let attempt):
        guard mayAskAgain(target) else {
          wanted.insert(attempt)
          continue
        }
        do throws(ForgeError) {
          left = try await client.redeliver(attempt, of: hook, at: target).callsLeft
        } catch {
          // One that the forge cannot send is told of at its end; what concerns all is told now.
          guard case .later = error.kind else { continue }
          guard let limit = client.kind.deliveryRow?.againPerMinute else { throw error }
          // Others ask too: what is left of the limit is theirs.
          places[target]?.askedAgain += Array(repeating: .now(), count: limit)
          wanted.insert(attempt)
        }
      case .giveUp:
        ledger.drop(guid)
        say(.error, "a delivery is lost", target, [("delivery", guid)])
        await noticeGap(target, "lost \(guid)", [.init(key: "lost", value: .string(guid))])
      }
    }
    if wanted.isEmpty { return }
    try await client.sent(wanted, of: hook, at: target, pagesMax: Self.pagesMax) { id, sent in
      await fetched(id, sent, hook, target)
    }
  }

  /// Whether the forge's own limit lets a delivery be asked for again now; counts it.
  private mutating func mayAskAgain(_ target: HookTarget) -> Bool {
    guard let limit = keeper.registration.access.kind.deliveryRow?.againPerMinute else {
      return true
    }
    let minuteAgo = MonotonicTime.now() + .seconds(-60)
    places[target]?.askedAgain.removeAll { $0 <= minuteAgo }
    guard let asked = places[target]?.askedAgain, asked.count < limit else { return false }
    places[target]?.askedAgain.append(.now())
    return true
  }

  private func fetched(
    _ attempt: Int,
    _ sent: SentDelivery,
    _ hook: String,
    _ target: HookTarget
  ) async {
    var headers = Headers(sent.headers.map { .init($0.name, $0.value) })
    headers.replace("Content-Type", "application/json")
    if let header = keeper.registration.access.kind.deliveryRow?.hookHeader {
      headers.replace(header, hook)
    }
    let response = await take(headers, sent.body.encoded())
    say(
      .info,
      "a delivery was fetched from the forge",
      target,
      [("attempt", "\(attempt)"), ("status", "\(response.status)")]
    )
  }

  // MARK: Telling

  /// More deliveries are not named in a notice.
  private static let namesMax = 100

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

  private func reportRest(_ hook: String, _ target: HookTarget) async {
    let what = "more deliveries than one look reads"
    say(.warning, "\(what): the next looks go on", target, [("pages", "\(Self.pagesMax)")])
    host.show(.errors("deliveries"), from: name)
    let found = JSON.Member(key: "found", value: .string(what))
    await noticeGap(target, "\(hook) rest \(host.now())", [found])
  }

  private func settle(_ attempt: Int, _ key: String) async {
    await append([], [SourcePlace(key: key, value: JSON(attempt))])
  }

  /// Of a hook that we made everything is ours to ask for, also after a crash.
  mutating func begin(_ hook: String, _ target: HookTarget) async {
    await settle(0, HookRecord.deliveriesKey(target, hook))
    let ledger = DeliveryLedger(settledThrough: 0, interval: interval)
    places[target]?.ledger = ledger
  }
}
