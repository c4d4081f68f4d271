import Bus
import Event
import EventLog
import Foundation
import JSON
import Posix
import TestKit
import Testing

/// `explain` and `deadletters` of the data folder of a bus with partitions on which nothing runs. Its
/// logs are those of two programs, each of which ran a part of the sensors.
@Suite struct PartitionQuestionTests {
  private func sensor(_ name: String, _ conditions: String, _ command: String) -> String {
    """
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: \(name)}
    spec:
      dependencies:
        - {name: order, eventSourceName: hooks, eventName: order}
        - {name: approval, eventSourceName: hooks, eventName: approval}
      triggers:
        - template:
            name: job
            conditions: \(conditions)
            command: {argv: [sh, -c, '\(command)']}

    """
  }

  private func post(_ port: Int, _ id: String) throws -> String {
    let request =
      "POST /order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Event-ID: \(id)\r\n"
      + "Content-Length: 2\r\n\r\n{}"
    let answer = try Socket.exchange(Array(request.utf8), port: port)
    let text = String(decoding: answer, as: UTF8.self)
    let json = try JSON(parsing: Array((text.components(separatedBy: "\r\n\r\n").last ?? "").utf8))
    return json["id"]?.asString ?? ""
  }

  /// Runs a program until its log tells of the end of `firings` failed firings.
  /// - Returns: the ids of the orders that were posted.
  private func ran(
    _ folder: String,
    as partition: Int,
    _ sensors: String,
    orders: [String],
    failures: Int
  ) throws -> [String] {
    let port = try freePort()
    let home = "\(folder)/run-\(partition)"
    try write(orderManifest(port) + sensors, home + "/manifests/a.yaml")
    let program = try Program(home, ["--console", "127.0.0.1:0", "--log-level", "error"])
    let ids = try orders.map { try post(port, $0) }
    while try letters(home + "/data").count < failures { _ = poll(nil, 0, 20) }
    #expect(program.end() == 0)
    let place = "\(folder)/data/partition-\(partition)"
    try Files.makeFolder(place)
    try FileManager.default.moveItem(atPath: home + "/data/log", toPath: place + "/log")
    return ids
  }

  private func letters(_ data: String) throws -> [JSON] {
    let listed = try signalbox(["deadletters", "list", "--json", "--data", data])
    #expect(listed.status == 0, "\(listed.output)")
    return try listed.output.split(separator: "\n").map { try JSON(parsing: Array($0.utf8)) }
  }

  @Test("a sensor, an event and a dead letter are found in the partition that has them")
  func questions() async throws {
    try await withTemporaryFolder { folder in
      let ship = sensor("ship", "order && approval", "true")
      let work = sensor("work", "order", "exit 1")
      let ids = try ran(folder, as: 0, ship, orders: ["a", "b"], failures: 0)
      #expect(try ran(folder, as: 2, work, orders: ["b", "c"], failures: 2)[0] == ids[1])
      let manifests = folder + "/all.yaml"
      try write(orderManifest(12000) + ship + work + sensor("away", "order", "true"), manifests)
      let data = folder + "/data"
      let arguments = [manifests, "--data", data]
      try explained(ids, arguments)
      try pending(ids, arguments)
      try await deadLetters(data)
      try unreadable(ids, arguments, data)
    }
  }

  /// What is known of the others is told all the same.
  private func unreadable(_ ids: [String], _ arguments: [String], _ data: String) throws {
    try loseHeader(data + "/partition-2/log")
    let answer = try signalbox(["explain", ids[1]] + arguments)
    #expect(answer.status == 1)
    let lines = answer.output.split(separator: "\n").map(String.init)
    let why = try #require(lines.first { $0.hasPrefix("partition 2 cannot be read: ") })
    #expect(why.hasSuffix("neither copy of its header can be read"))
    #expect(lines.contains("sensor default/ship in partition 0"), "\(answer.output)")
    let none = "has run in none of the partitions that are here: 0; \(why)"
    #expect(
      lines.suffix(4) == ["sensor default/work", "  " + none, "sensor default/away", "  " + none],
      "\(answer.output)"
    )
    let work = try signalbox(["explain", ids[1], "--sensor", "work"] + arguments)
    #expect(work.status == 1 && work.output == "sensor default/work \(none)\n", "\(work.output)")
    #expect(try signalbox(["explain", ids[1], "--sensor", "ship"] + arguments).status == 0)
    let pending = try signalbox(["explain", "--pending"] + arguments)
    #expect(pending.status == 1 && pending.output.hasPrefix("partition 2: "), "\(pending.output)")
  }

  private func explained(_ ids: [String], _ arguments: [String]) throws {
    let both = try signalbox(["explain", ids[1]] + arguments)
    #expect(both.status == 0, "\(both.output)")
    let lines = both.output.split(separator: "\n").map(String.init)
    let first = try #require(lines.first)
    #expect(
      first.firstMatch(of: /^event .* \(hooks order\) at 0:[0-9]+, 2:[0-9]+$/) != nil,
      "\(first)"
    )
    let ship = try #require(lines.firstIndex(of: "sensor default/ship in partition 0"))
    let work = try #require(lines.firstIndex(of: "sensor default/work in partition 2"))
    #expect(lines[ship..<work].contains("  trigger job: holds it and waits for approval"))
    #expect(lines[work...].contains { $0.hasPrefix("  trigger job: fired: ") }, "\(both.output)")
    #expect(
      Array(lines.suffix(2)) == [
        "sensor default/away", "  has run in none of the partitions that are here: 0, 2",
      ]
    )
    // It came to the other one alone.
    let one = try signalbox(["explain", ids[0]] + arguments).output
    #expect(
      one.contains(
        "sensor default/work\n  runs in partition 2, where the event is not\nsensor default/away\n"
      ),
      "\(one)"
    )
    for (more, words) in [
      (["--sensor", "work"], "no event \(ids[0]) is in partition 2, where default/work runs\n"),
      (["--sensor", "other"], "there is no sensor default/other\n"),
      (
        ["--sensor", "away"],
        "sensor default/away has run in none of the partitions that are here: 0, 2\n"
      ),
    ] {
      let answer = try signalbox(["explain", ids[0]] + arguments + more)
      #expect(answer.status == 1 && answer.output == words, "\(answer.output)")
    }
    let nobody = try signalbox(["explain", "nothing"] + arguments)
    #expect(
      nobody.status == 1
        && nobody.output == "no event nothing is in the partitions that are here: 0, 2\n"
    )
  }

  private func pending(_ ids: [String], _ arguments: [String]) throws {
    let all = try signalbox(["explain", "--pending"] + arguments).output
    #expect(
      all.hasPrefix(
        "sensor default/ship in partition 0\n  trigger job: holds order (event \(ids[1])"
      ),
      "\(all)"
    )
    #expect(all.split(separator: "\n").count == 2)
    let away = try signalbox(["explain", "--pending", "--sensor", "away"] + arguments)
    #expect(away.status == 1 && away.output.contains("has run in none of the partitions"))
  }

  private func deadLetters(_ data: String) async throws {
    let failures = try letters(data + "/partition-2")
    let all = try letters(data)
    #expect(all.map { $0["id"] } == failures.map { $0["id"] })
    #expect(all.allSatisfy { $0["partition"] == JSON(2) && $0["sensor"] == "default/work" })
    #expect(all.first?["position"]?.asString?.hasPrefix("2:") == true)

    // What another partition has as a copy of the outcome is no dead letter there.
    var copies: [Event] = []
    _ = try EventLogReader(folder: data + "/partition-2/log").read { record in
      if case .event(let event) = record.content, event.isOwn { copies.append(event) }
    }
    let (log, _) = try EventLog.open(folder: data + "/partition-0/log")
    _ = try await log.append(copies.map { .event($0) })
    await log.close()
    #expect(try letters(data).count == 2)
    #expect(try letters(data + "/partition-0").isEmpty)

    let id = try #require(all.first?["id"]?.asString)
    let shown = try signalbox(["deadletters", "show", id, "--data", data])
    #expect(shown.status == 0)
    #expect(try JSON(parsing: Array(shown.output.utf8))["partition"] == JSON(2))
    // As a program leaves them.
    for partition in [0, 2] {
      let role = FolderRole.copy(of: "partition \(partition) of the topic bus")
      try role.write(to: "\(data)/partition-\(partition)/log")
    }
    for verb in ["drop", "retry"] {
      let answer = try signalbox(["deadletters", verb, id, "--data", data])
      #expect(answer.status == 1)
      #expect(
        answer.output == "\(data)/partition-0 is a copy of partition 0 of the topic bus: "
          + "start the program\n"
      )
      let one = try signalbox(["deadletters", verb, "--all", "--data", data + "/partition-2"])
      #expect(one.status == 1)
      #expect(
        one.output == "\(data)/partition-2 is a copy of partition 2 of the topic bus: "
          + "start the program\n"
      )
    }
    #expect(try letters(data) == all)
    let away = try signalbox(["deadletters", "list", "--sensor", "ghost", "--data", data])
    #expect(away.status == 1 && away.output.contains("default/ghost has run in none of"))
  }
}
