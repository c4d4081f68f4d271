import Event
import Expression
import JSON
package import Manifest
package import Plugin

/// `calendar`: recurring moments (spec section 2.7). The moment that was told last is noted on the
/// log behind its event, and each moment has one id, so that a restart neither loses nor repeats
/// one.
package struct CalendarSource: EventSource {
  package typealias Spec = CalendarSpec

  package static let kind = "calendar"

  /// Moments told in one append, and those made up for at once; more are reported as skipped.
  private static let batch = 100
  private static let most = 1000
  private static let place = "last"

  private let spec: CalendarSpec
  private let timetable: Timetable?
  private let name: EventSourceName
  private let host: any SourceHost

  package init(_ spec: Spec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    self.spec = spec
    self.name = name
    self.host = host
    do throws(CronError) {
      timetable = try Timetable(spec, host.world.zoneFile, host.compat.mode(.cronHours))
    } catch {
      timetable = nil
      block.error(spec.schedule == nil ? "timezone" : "schedule", "\(error)")
    }
  }

  /// Nobody outside chooses what it tells.
  package var isAuthenticated: Bool { true }

  package func run() async {
    guard let timetable else { return }
    var last = await start()
    var wait = Duration.seconds(1)
    while !Task.isCancelled {
      let now = seconds(host.now())
      do throws(SinkError) {
        let missed = timetable.moments(after: last, through: now, limit: Self.most)
        if missed.skipped > 0, let first = missed.moments.first {
          try await tell([], skipped: missed.skipped, from: last, to: first - 1)
        }
        for start in stride(from: 0, to: missed.moments.count, by: Self.batch) {
          let moments = Array(missed.moments[start...].prefix(Self.batch))
          try await tell(moments.map { event($0, timetable) }, at: moments.last ?? last)
          last = moments.last ?? last
        }
        wait = .seconds(1)
      } catch {
        host.log(
          .error,
          "a calendar's moment could not be stored; trying again",
          [
            ("source", "\(name)"), ("error", "\(error)"),
          ]
        )
        await host.sleep(for: wait)
        wait = min(wait * 2, .seconds(60))
        continue
      }
      await sleep(until: timetable.next(after: last))
    }
  }

  /// Where it goes on: behind what it told last, or from now on.
  private func start() async -> Int {
    let now = seconds(host.now())
    guard case .number(let text)? = host.places(of: name)[Self.place], let last = Int(text) else {
      await note(now)
      return now
    }
    // A clock that was ahead once must not stop the calendar until it is that late.
    if last > now + 86_400 {
      host.log(
        .warning,
        "the clock was set back by more than a day; the calendar goes on from now",
        [
          ("source", "\(name)")
        ]
      )
      return now
    }
    let bound = now - Int(spec.catchUp.components.seconds)
    guard last < bound else { return last }
    if spec.catchUp > .zero, let first = timetable?.next(after: last), first <= bound {
      await patiently { () throws(SinkError) in
        try await tell([], skipped: nil, from: last, to: bound)
      }
    }
    return bound
  }

  private func note(_ last: Int) async {
    await patiently { () throws(SinkError) in try await tell([], at: last) }
  }

  private func patiently(_ work: () async throws(SinkError) -> Void) async {
    var wait = Duration.seconds(1)
    while !Task.isCancelled {
      do throws(SinkError) { return try await work() } catch {
        host.log(
          .error,
          "a calendar's place could not be stored; trying again",
          [
            ("source", "\(name)"), ("error", "\(error)"),
          ]
        )
        await host.sleep(for: wait)
        wait = min(wait * 2, .seconds(60))
      }
    }
  }

  private func tell(_ events: [Event], at last: Int) async throws(SinkError) {
    let place = SourcePlace(key: Self.place, value: JSON(last))
    _ = try await host.append(events, places: [place], from: name)
  }

  /// Moments that were not made up for are no secret.
  private func tell(
    _ events: [Event],
    skipped: Int?,
    from last: Int,
    to end: Int
  ) async throws(SinkError) {
    var data: [JSON.Member] = [
      .init(key: "from", value: .string(shown(last))), .init(key: "to", value: .string(shown(end))),
    ]
    if let skipped { data.append(.init(key: "moments", value: JSON(skipped))) }
    let notice = host.notice("calendar.skipped", id: "\(last) \(end)", data, about: name)
    try await tell(events + [notice], at: end)
  }

  private func event(_ moment: Int, _ timetable: Timetable) -> Event {
    var data: [JSON.Member] = [
      .init(key: "eventTime", value: .string(timetable.time(moment).text))
    ]
    if !spec.metadata.isEmpty { data.append(.init(key: "metadata", value: .object(spec.metadata))) }
    return Event(
      id: Event.stableID("calendar", name.namespace, name.source, name.event, "\(moment)"),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: Self.kind,
      subject: name.event,
      time: host.now(),
      data: JSON.object(data).encoded()
    )
  }

  /// In steps of a minute at most, so that a clock that is set is noticed.
  private func sleep(until moment: Int?) async {
    let now = host.now().nanoseconds
    let left = (moment.map { Int64($0) * 1_000_000_000 } ?? .max).subtractingReportingOverflow(now)
    let wait = left.overflow ? Int64.max : left.partialValue
    await host.sleep(for: .nanoseconds(min(max(wait, 1_000_000), 60_000_000_000)))
  }

  private func shown(_ seconds: Int) -> String {
    Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000).description
  }

  private func seconds(_ time: Timestamp) -> Int {
    let (whole, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return Int(whole) - (rest < 0 ? 1 : 0)
  }
}
