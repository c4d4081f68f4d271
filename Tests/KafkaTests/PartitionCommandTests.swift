import Foundation
import Glibc
import JSON
import Posix
import TestKit
import Testing

/// Commands that ask a running program of a bus of three partitions: six sensors whose jobs fail, one
/// that waits for these failures, and one that waits for two events.
@Suite(.serialized, .enabled(if: Tools.areThere && Tools.outsideBroker == nil))
struct PartitionCommandTests {
  private static let jobs = (0..<6).map { "job-\($0)" }

  private static func manifests(_ broker: String, _ port: Int, _ name: String, late: Int = 0)
    -> String
  {
    func sensor(_ name: String, _ dependencies: [(String, String)], _ trigger: String) -> String {
      """

      ---
      apiVersion: argoproj.io/v1alpha1
      kind: Sensor
      metadata: {name: \(name)}
      spec:
        dependencies:
      \(dependencies.enumerated().map {
        "    - {name: d\($0), eventSourceName: \($1.0), eventName: \($1.1)}"
      }.joined(separator: "\n"))
        triggers: [{template: {name: run, \(trigger)}}]
      """
    }
    let order = ("hooks", "order")
    let any = jobs.indices.map { "d\($0)" }.joined(separator: " || ")
    return busManifest(broker, name: name, partitions: 3)
      + orderManifest(port)
      + jobs.map { sensor($0, [order], "command: {argv: [\"false\"]}") }.joined()
      + sensor(
        "after",
        jobs.map { ("outcomes", "\($0)/run/failed") },
        "conditions: \(any), log: {}"
      )
      + sensor("pair", [order, ("hooks", "approval")], "log: {}")
      + (0..<late).map { sensor("late-\($0)", [("hooks", "approval")], "log: {}") }.joined()
  }

  private final class Member {
    let program: KafkaInstallation
    let port: Int
    let console: Int
    private let broker: String
    private let name: String

    init(_ folder: String, _ broker: SmallBroker, _ name: String) throws {
      port = try freePort()
      console = try freePort()
      (self.broker, self.name) = (broker.programsAddress, name)
      program = try KafkaInstallation(
        folder + "/" + name,
        PartitionCommandTests.manifests(broker.programsAddress, port, name),
        console: console,
        started: "\nready"
      )
    }

    /// The partitions that run there.
    var running: Set<Int> {
      let answer = (try? asked("/readyz"))?.components(separatedBy: "that run: ").last ?? ""
      return Set(answer.split { !$0.isNumber }.compactMap { Int($0) })
    }

    /// What its console says.
    func asked(_ path: String) throws -> String {
      let request = "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
      return String(
        decoding: try Socket.exchange(Array(request.utf8), port: console),
        as: UTF8.self
      )
    }

    /// Where a sensor runs, as the program says at its start.
    func home(of sensor: String) throws -> Int {
      let name = "sensor default/\(sensor) in partition "
      let line = program.printed.split(separator: "\n").first { $0.hasPrefix(name) }
      return try #require(line.flatMap { Int($0.dropFirst(name.count)) })
    }

    func command(_ arguments: String...) throws -> (status: Int32, output: String) {
      try Tools.run(
        builtProgram("signalbox"),
        arguments + ["--data", program.folder + "/data"]
      )
    }

    /// For messages of tests.
    func told(_ arguments: String...) -> String {
      let answer = try? Tools.run(
        builtProgram("signalbox"),
        arguments + ["--data", program.folder + "/data"]
      )
      return answer?.output ?? "no answer"
    }

    func letters() throws -> [JSON] {
      try command("deadletters", "list", "--json").output.split(separator: "\n").map {
        try JSON(parsing: Array($0.utf8))
      }
    }

    /// Puts the manifests in force with so many sensors more.
    func reload(late: Int) throws {
      let manifests = PartitionCommandTests.manifests(broker, port, name, late: late)
      try Files.writeDurably(Array(manifests.utf8), to: program.folder + "/manifests/all.yaml")
      #expect(try command("reload").status == 0)
    }

    func post(_ id: String, to endpoint: String = "order") throws -> String {
      let request =
        "POST /\(endpoint) HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Event-ID: \(id)\r\n"
        + "Content-Length: 2\r\n\r\n{}"
      let answer = try Socket.exchange(Array(request.utf8), port: port)
      let text = String(decoding: answer, as: UTF8.self).components(separatedBy: "\r\n\r\n")
      return try #require(try JSON(parsing: Array((text.last ?? "").utf8))["id"]?.asString)
    }

    /// The values of a counter, by partition.
    func counts(_ name: String) throws -> [String: Int] {
      var counts: [String: Int] = [:]
      for line in try asked("/metrics").split(separator: "\n")
      where line.hasPrefix(name + "{") {
        guard let found = line.firstMatch(of: /partition="([0-9]+)".*} ([0-9]+)/) else { continue }
        counts[String(found.1)] = Int(found.2)
      }
      return counts
    }
  }

  @Test("a program that owns partitions answers for all of them, and says what runs elsewhere")
  func commands() async throws {
    try await withTemporaryFolder { folder in
      let broker = try SmallBroker(folder)
      defer { broker.end() }
      let one = try Member(folder, broker, "one")
      try waitUntil(seconds: 60, "all partitions: \(one.program.printed)") {
        one.running == [0, 1, 2]
      }
      let id = try one.post("a")
      #expect(try one.post("a") == id)
      try waitUntil(seconds: 60, "six dead letters: \(one.told("deadletters"))") {
        try one.letters().count == 6
      }
      try explained(one, id)
      try counted(one)
      try letters(one)
      try replayed(one, id)
      try unreached(one)

      // A partition that begins anew does not take copies of others' failures for its own.
      let before = try one.letters().map { $0["id"] }
      #expect(one.program.end() == 0)
      try one.program.start()
      try waitUntil(seconds: 60, "the same dead letters: \(one.told("deadletters"))") {
        one.running == [0, 1, 2]
      }
      #expect(try one.letters().map { $0["id"] } == before)

      let two = try Member(folder, broker, "two")
      try waitUntil(seconds: 60, "both own some: \(one.program.printed)") {
        let (here, there) = (one.running, two.running)
        return here.isDisjoint(with: there) && here.union(there) == [0, 1, 2] && !there.isEmpty
          && !here.isEmpty
      }
      try elsewhere(one, two, id)
      #expect(one.program.end() == 0 && two.program.end() == 0)
    }
  }

  private func explained(_ one: Member, _ id: String) throws {
    let answer = try one.command("explain", id)
    #expect(answer.status == 0)
    for job in Self.jobs {
      let place = "sensor default/\(job) in partition \(try one.home(of: job))\n"
      #expect(answer.output.contains(place), "\(answer.output)")
    }
    #expect(answer.output.components(separatedBy: "  trigger run: fired: ").count == 7)
    #expect(!answer.output.contains("does not own"))
    let pending = try one.command("explain", "--pending")
    #expect(
      pending.output.hasPrefix("sensor default/pair in partition \(try one.home(of: "pair"))\n"),
      "\(pending.output)"
    )
    let places = try Set((Self.jobs + ["pair"]).map { try one.home(of: $0) }).sorted()
    let list = places.map { "\($0)" }.joined(separator: ", ")
    let events = try one.command("events", "--source", "hooks").output.split(separator: "\n")
    #expect(events.count == 1 && events.first?.hasSuffix("  partitions \(list)") == true)
  }

  /// What was sent twice is counted by each owner that had it.
  private func counted(_ one: Member) throws {
    let places = try Set((Self.jobs + ["pair"]).map { "\(try one.home(of: $0))" })
    try waitUntil(seconds: 60, "duplicates in \(places)") {
      let counts = try one.counts("signalbox_events_duplicate_total")
      return Set(counts.keys) == places && counts.values.allSatisfy { $0 == 1 }
    }
  }

  private func letters(_ one: Member) throws {
    for letter in try one.letters() {
      let sensor = try #require(letter["sensor"]?.asString)
      #expect(letter["partition"] == JSON(try one.home(of: String(sensor.dropFirst(8)))))
    }
    let id = try #require(try one.letters().first?["id"]?.asString)
    #expect(try one.command("deadletters", "show", id).status == 0)
    let dropped = try one.command("deadletters", "drop", id, "nothing")
    #expect(dropped.status == 1)
    #expect(dropped.output.contains("\(id)  dropped\nnothing  there is none in the partitions"))
    let other = try #require(try one.letters().first?["id"]?.asString)
    #expect(try one.command("deadletters", "retry", other).output.contains("/run fires: firing "))
    try waitUntil(seconds: 60, "a letter of the retry") {
      let ids = try one.letters().compactMap { $0["id"]?.asString }
      return ids.count == 5 && !ids.contains(other)
    }
  }

  private func replayed(_ one: Member, _ id: String) throws {
    let answer = try one.command("events", "replay", id)
    #expect(answer.status == 0)
    for job in Self.jobs {
      let line = "partition \(try one.home(of: job)): default/\(job)/run fires: firing "
      #expect(answer.output.contains(line), "\(answer.output)")
    }
    try waitUntil(seconds: 60, "letters of the replay") { try one.letters().count == 11 }
    let single = try one.command("events", "replay", id, "--sensor", "job-0")
    #expect(single.output.components(separatedBy: " fires: ").count == 2, "\(single.output)")
    try waitUntil(seconds: 60, "a letter of the replay") { try one.letters().count == 12 }
    let nobody = try one.command("events", "replay", "nothing")
    #expect(nobody.status == 1 && nobody.output.contains("no event nothing"))
  }

  /// Sensors that came after an event, whose partitions do not have it.
  private func unreached(_ one: Member) throws {
    let id = try one.post("b", to: "approval")
    try waitUntil(seconds: 60, "the approval at its sensor") {
      try one.command("explain", id, "--sensor", "pair").status == 0
    }
    try one.reload(late: 6)
    let answer = try one.command("events", "replay", id)
    #expect(answer.status == 0, "\(answer.output)")
    let home = try one.home(of: "pair")
    let lines = answer.output.split(separator: "\n").filter { $0.hasPrefix("sensor ") }
    #expect(!lines.isEmpty, "\(answer.output)")
    for line in lines {
      let found = line.firstMatch(
        of: /^sensor default\/late-[0-9] runs in partition ([0-9]), where the event is not$/
      )
      #expect(found.map { Int($0.1) != home } == true, "\(line)")
    }
    try one.reload(late: 0)
  }

  private func elsewhere(_ one: Member, _ two: Member, _ id: String) throws {
    let away = try #require(try Self.jobs.first { !one.running.contains(try one.home(of: $0)) })
    let home = try one.home(of: away)
    let words = "runs in partition \(home), which this process does not own\n"
    let explained = try one.command("explain", id).output
    #expect(explained.contains("sensor default/\(away)\n  \(words)"), "\(explained)")
    for command in [["explain", id], ["explain", "--pending"], ["events", "replay", id]] {
      let answer = try Tools.run(
        builtProgram("signalbox"),
        command + ["--sensor", away, "--data", one.program.folder + "/data"]
      )
      #expect(answer.status == 1 && answer.output.contains(words), "\(answer.output)")
    }
    let list = two.running.sorted().map { "\($0)" }.joined(separator: ", ")
    #expect(
      try one.command("deadletters").output.contains(
        "not asked, since other processes own them: partitions \(list)\n"
      )
    )
    // Not among the letters.
    #expect(try one.letters().allSatisfy { $0["id"] != nil })
    let dropped = try one.command("deadletters", "drop", "--all").output
    #expect(
      dropped.hasSuffix("not asked, since other processes own them: partitions \(list)\n"),
      "\(dropped)"
    )
    #expect(try two.command("explain", id, "--sensor", away).status == 0)
  }
}
