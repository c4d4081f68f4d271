import ArgumentParser
import Event
import EventLog
import Glibc
import JSON
import Posix
import Server

/// `signalbox events`: what is on the bus.
struct EventsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "Show the events on the bus, oldest first.",
    discussion: """
      Of a bus with partitions all that the data folder has are shown together: an event once, \
      with the partitions that have it, at the position PARTITION:POSITION of its first copy.
      """,
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
    // The segments of all partitions are open at once.
    try raiseDescriptorLimit()
    let start = try since.start() ?? .first
    var reading = EventsReading(DataFolder(folder.data), start, source: source)
    var seen = 0
    var lineage = cause.map { Lineage(of: $0) }
    var damages = try show(&reading, &seen, &lineage)
    for line in lineage?.lines ?? [] { print(line) }
    if lineage?.isCut == true { note("the tree is cut: see --json for the rest") }
    if follow {
      let loop = try EventLoop(name: "follow")
      while true {
        await loop.sleep(for: .milliseconds(200))
        damages = try show(&reading, &seen, &lineage)
      }
    }
    if !json && seen == 0 { print("no events") }
    for damage in damages { note("damage in the log: \(damage)") }
    if !damages.isEmpty { throw ExitCode(1) }
  }

  /// - Returns: the damage that was found.
  private func show(
    _ reading: inout EventsReading,
    _ seen: inout Int,
    _ lineage: inout Lineage?
  ) throws -> [String] {
    defer { fflush(nil) }
    return try reading.read(&lineage) { shown, lineage in
      seen += 1
      if json { return print(shown.json.text) }
      if cause == nil { return print(line(shown)) }
      if follow {
        print(String(repeating: "  ", count: shown.depth) + line(shown))
      } else {
        lineage?.add(shown.event, line(shown))
      }
    }
  }

  private func note(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe write(2, bytes, bytes.count)
  }

  private func line(_ shown: EventsReading.Shown) -> String {
    let event = shown.event
    // A tree says that by itself.
    let isTree = self.cause != nil
    let cause =
      isTree ? "" : event.cause.map { "  caused by \($0.events.joined(separator: ", "))" } ?? ""
    return "\(event.time)  \(event.id)  \(event.source)  \(event.subject)\(shown.place)\(cause)"
  }
}

extension EventsReading.Shown {
  /// The CloudEvent as JSON, data as JSON where it is JSON.
  fileprivate var json: JSON {
    var members: [JSON.Member] = [.init(key: "position", value: .string(position))]
    if let partitions {
      members.append(.init(key: "partitions", value: .array(partitions.map { JSON($0) })))
    }
    members += [
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

  /// The partitions, behind other words.
  fileprivate var place: String {
    guard let partitions else { return "" }
    let list = partitions.map { "\($0)" }.joined(separator: ", ")
    return "  partition\(partitions.count == 1 ? "" : "s") \(list)"
  }
}
