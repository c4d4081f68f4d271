import Event
import EventSources
import Expression
import JSON
import Manifest
import Plugin
import Posix
import Testing

@Suite struct CalendarTests {
  private let name = EventSourceName(namespace: "default", bus: "default", source: "s", event: "e")

  private func make(_ spec: String, _ host: RecordingHost, _ diagnostics: Diagnostics) throws
    -> (any EventSource)?
  {
    let kind = try #require(eventSourceKinds.first { $0.kind == "calendar" })
    let node = Node(
      try JSON(parsing: Array(spec.utf8)),
      at: Mark(file: "t", line: 1, column: 1)
    )
    return kind.make(node, "spec.calendar.e", name, host, diagnostics)
  }

  /// Runs a calendar at a standing clock until it has told `count` events, and answers them.
  /// - Parameter last: the place it noted before, in seconds since 1970.
  private func run(
    _ spec: String,
    at now: Int,
    last: Int?,
    until count: Int
  ) async throws -> RecordingHost {
    let loop = try EventLoop(name: "calendar")
    defer { loop.stop() }
    let (host, diagnostics) = (RecordingHost(loop: loop, seconds: Int64(now)), Diagnostics())
    if let last {
      let place = SourcePlace(key: "last", value: JSON(last))
      _ = try await host.append([], places: [place], from: name)
    }
    let source = try #require(try make(spec, host, diagnostics), "\(diagnostics.sorted)")
    let task = Task(executorPreference: loop) { @concurrent in await source.run() }
    var seen = 0
    for await _ in host.appended {
      seen += 1
      if seen == count { break }
    }
    task.cancel()
    await task.value
    return host
  }

  private func times(_ host: RecordingHost) -> [String] {
    host.events.map { event in
      guard case .string(let text)? = (try? JSON(parsing: event.data))?["eventTime"] else {
        return event.type
      }
      return text
    }
  }

  /// 2026-01-01T12:00:00Z
  private let noon = 1_767_268_800

  @Test("moments that passed while nothing ran are made up for, each once, at its own time")
  func catchUp() async throws {
    let spec = #"{"schedule": "0 * * * *", "timezone": "Europe/Berlin", "metadata": {"a": "b"}}"#
    let host = try await run(spec, at: noon, last: noon - 3 * 3600 - 1, until: 4)
    #expect(
      times(host) == [
        "2026-01-01 10:00:00 +0100 CET", "2026-01-01 11:00:00 +0100 CET",
        "2026-01-01 12:00:00 +0100 CET", "2026-01-01 13:00:00 +0100 CET",
      ]
    )
    #expect(host.places(of: name) == ["last": JSON(noon)])
    let event = try #require(host.events.first)
    #expect(event.type == "calendar" && event.subject == "e" && event.source == "s")
    #expect(try JSON(parsing: event.data)["metadata"] == ["a": "b"])
    // The same moments again are the same events.
    let again = try await run(spec, at: noon, last: noon - 3600, until: 1)
    #expect(again.events.map(\.id) == [host.events[3].id])
  }

  @Test("making up has a bound, and what is beyond it is told as skipped")
  func bound() async throws {
    let host = try await run(
      #"{"schedule": "0 * * * *", "persistence": {"catchup": {"enabled": true, "maxDuration": "2h"}}}"#,
      at: noon,
      last: noon - 10 * 3600,
      until: 3
    )
    #expect(
      times(host) == [
        "signalbox.calendar.skipped", "2026-01-01 11:00:00 +0000 UTC",
        "2026-01-01 12:00:00 +0000 UTC",
      ]
    )
    let notice = try JSON(parsing: try #require(host.events.first).data)
    #expect(notice["from"] == "2026-01-01T02:00:00Z" && notice["to"] == "2026-01-01T10:00:00Z")
    let many = try await run(#"{"interval": "1s"}"#, at: noon, last: noon - 3000, until: 1001)
    #expect(many.events.count == 1001)
    #expect(try JSON(parsing: many.events[0].data)["moments"] == 2000)
    #expect(times(many).last == "2026-01-01 12:00:00 +0000 UTC")
  }

  @Test("without making up, and at the first start, it goes on from now")
  func fromNow() async throws {
    for (spec, last) in [
      (#"{"interval": "1s", "persistence": {"catchup": {"enabled": false}}}"#, noon - 60),
      // A clock that was a year ahead.
      (#"{"interval": "1s"}"#, noon + 31_536_000),
    ] {
      let loop = try EventLoop(name: "calendar")
      let (host, diagnostics) = (RecordingHost(loop: loop, seconds: Int64(noon)), Diagnostics())
      let place = SourcePlace(key: "last", value: JSON(last))
      _ = try await host.append([], places: [place], from: name)
      let source = try #require(try make(spec, host, diagnostics), "\(diagnostics.sorted)")
      let task = Task(executorPreference: loop) { @concurrent in await source.run() }
      await loop.sleep(for: .milliseconds(50))
      task.cancel()
      await task.value
      loop.stop()
      #expect(times(host) == [])
    }
  }

  @Test("excluded days are left out, whatever the time of day")
  func excluded() async throws {
    let host = try await run(
      """
      {"schedule": "0 */6 * * *", "timezone": "Asia/Tokyo",
       "exclusionDates": ["EXDATE:20260101T235959Z,20251230T000000Z"],
       "persistence": {"catchup": {"enabled": true, "maxDuration": "72h"}}}
      """,
      at: noon,
      last: noon - 2 * 86_400,
      until: 4
    )
    #expect(
      times(host) == ["00", "06", "12", "18"].map { "2025-12-31 \($0):00:00 +0900 JST" }
    )
  }

  @Test(
    "what is no calendar is refused",
    arguments: [
      ("{}", "spec.calendar.e: found neither schedule nor interval, expected one of them"),
      (
        #"{"schedule": "* * *"}"#,
        "spec.calendar.e.schedule: found 3 fields, expected five: minute, hour, day of the month, month, day of the week; or six with seconds first"
      ),
      (
        #"{"interval": "500ms"}"#,
        "spec.calendar.e.interval: found 0.5 seconds, expected a second at least"
      ),
      (
        #"{"interval": "1s", "timezone": "Mars"}"#,
        "spec.calendar.e.timezone: found the time zone 'Mars', expected a name such as Europe/Berlin"
      ),
      (
        #"{"interval": "1s", "exclusionDates": ["2026-01-01"]}"#,
        "spec.calendar.e.exclusionDates[0]: found '2026-01-01', expected EXDATE: and times such as 20060102T150405Z with commas"
      ),
      (
        #"{"interval": "1s", "persistence": {"catchup": {"enabled": true, "maxDuration": "999h"}}}"#,
        "spec.calendar.e.persistence.catchup.maxDuration: found 3596400.0 seconds, expected 744h at most"
      ),
    ]
  )
  func refused(_ spec: String, _ problem: String) throws {
    let diagnostics = Diagnostics()
    #expect(try make(spec, RecordingHost(), diagnostics) == nil)
    #expect(
      diagnostics.all.filter { $0.severity == .error }.map { "\($0.field): \($0.message)" }
        == [problem]
    )
  }
}
