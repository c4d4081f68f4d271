import ArgumentParser
import Bus
import Event
import EventLog
import Glibc
import JSON
import Posix

/// `signalbox events`: what is on the bus.
struct EventsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "Show the events on the bus, oldest first.",
    subcommands: [ReplayCommand.self]
  )

  @OptionGroup var folder: DataOption

  @Flag(help: "One JSON object a line, with data and cause.")
  var json = false

  @Option(help: "Only events of this event source.")
  var source: String?

  @Option(
    help: ArgumentHelp(
      "Only this event or firing and all that it led to, as a tree.",
      discussion: "With --json or --follow in the order of the log."
    )
  )
  var cause: String?

  @OptionGroup var since: SinceOption

  @Flag(help: "Go on showing what comes, until interrupted.")
  var follow = false

  func run() async throws {
    let reader = EventLogReader(folder: folder.data + "/log")
    var seen = 0
    var lineage = cause.map { Lineage(of: $0) }
    let start = try since.start() ?? .first
    var report = try show(reader, start, &seen, &lineage)
    for line in lineage?.lines ?? [] { print(line) }
    if lineage?.isCut == true { note("the tree is cut: see --json for the rest") }
    if follow {
      let loop = try EventLoop(name: "follow")
      var end = report.end
      while true {
        await loop.sleep(for: .milliseconds(200))
        report = try show(reader, end.map { .goingOn($0) } ?? start, &seen, &lineage)
        end = report.end ?? end
      }
    }
    if !json && seen == 0 { print("no events") }
    for damage in report.damages { note("damage in the log: \(damage)") }
    if !report.damages.isEmpty { throw ExitCode(1) }
  }

  private func show(
    _ reader: EventLogReader,
    _ start: EventLogReader.Start,
    _ seen: inout Int,
    _ lineage: inout Lineage?
  ) throws -> EventLogReader.Report {
    defer { fflush(nil) }
    return try reader.read(start) { record in
      guard case .event(let event) = record.content else { return }
      // Also of what is not shown: something that is may be behind it.
      let depth = lineage?.depth(of: event)
      if lineage != nil && depth == nil { return }
      if let source, event.source != source { return }
      seen += 1
      if json { return print(record.position.describing(event).text) }
      if lineage == nil { return print(line(event)) }
      if follow {
        print(String(repeating: "  ", count: depth ?? 0) + line(event))
      } else {
        lineage?.add(event, line(event))
      }
    }
  }

  private func note(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe write(2, bytes, bytes.count)
  }

  private func line(_ event: Event) -> String {
    // A tree says that by itself.
    let isTree = self.cause != nil
    let cause =
      isTree ? "" : event.cause.map { "  caused by \($0.events.joined(separator: ", "))" } ?? ""
    return "\(event.time)  \(event.id)  \(event.source)  \(event.subject)\(cause)"
  }
}

extension Position {
  /// The CloudEvent as JSON, data as JSON where it is JSON.
  fileprivate func describing(_ event: Event) -> JSON {
    var members: [JSON.Member] = [
      .init(key: "position", value: .string(description)),
      .init(key: "specversion", value: "1.0"), .init(key: "id", value: .string(event.id)),
      .init(key: "source", value: .string(event.source)),
      .init(key: "type", value: .string(event.type)),
      .init(key: "subject", value: .string(event.subject)),
      .init(key: "time", value: .string(event.time.description)),
      .init(key: "namespace", value: .string(event.namespace)),
      .init(key: "datacontenttype", value: .string(event.dataContentType)),
    ]
    let text = JSON.string(String(decoding: event.data, as: UTF8.self))
    members.append(.init(key: "data", value: (try? JSON(parsing: event.data)) ?? text))
    if let cause = event.cause {
      members.append(
        .init(
          key: "cause",
          value: [
            "firing": .string(cause.firing.text),
            "events": .array(cause.events.map { .string($0) }), "hops": JSON(cause.hops),
          ]
        )
      )
    }
    return .object(members)
  }
}
