import Bus
import Engine
import Event
import EventLog
import Foundation
import Glibc
import JSON
import Posix
import TestKit
import Testing

/// Many running workflows followed by the real binary. `SIGNALBOX_FOLLOW_RUNS=2000` is the size that
/// is promised, and looks at the figures, too.
@Suite(.serialized) struct FollowLoadTests {
  private func manifests(_ port: Int) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hooks}
    spec:
      webhook:
        go: {endpoint: /go, port: "\(port)", signalbox: {unauthenticated: true}}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: work}
    spec:
      dependencies: [{name: go, eventSourceName: hooks, eventName: go}]
      triggers:
        - template:
            name: run
            argoWorkflow:
              operation: submit
              source:
                resource:
                  apiVersion: argoproj.io/v1alpha1
                  kind: Workflow
                  metadata: {generateName: load-, namespace: ci}
                  spec: {entrypoint: main, templates: [{name: main, suspend: {}}]}
    """
  }

  /// Kilobytes in memory.
  private func memory(_ program: Program) throws -> Int {
    let text = String(decoding: try Files.read("/proc/\(program.processID)/status"), as: UTF8.self)
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
    return Int(line.filter(\.isNumber)) ?? 0
  }

  /// When each run's outcome of a phase was written, by its name, in nanoseconds.
  private func outcomes(_ phase: String, _ folder: String) throws -> [String: Int64] {
    var times: [String: Int64] = [:]
    _ = try EventLogReader(folder: folder + "/data/log").read { record in
      guard case .event(let event) = record.content, event.subject == "work/run/\(phase)",
        let name = (try? JSON(parsing: event.data))?.at("result", "name")?.asString
      else { return }
      times[name] = event.time.nanoseconds
    }
    return times
  }

  private func wait(_ count: Int, _ phase: String, _ folder: String) throws -> [String: Int64] {
    let deadline = MonotonicTime.now() + .seconds(600)
    while true {
      let times = try outcomes(phase, folder)
      if times.count >= count { return times }
      try #require(MonotonicTime.now() < deadline, "\(times.count) of \(count) \(phase)")
      _ = poll(nil, 0, 100)
    }
  }

  private func finish(_ cluster: TestCluster, _ name: String) -> Int64 {
    let now = wallClockNanoseconds()
    cluster.change("workflows", "ci", name) { object in
      object.set("Succeeded", at: "status", "phase")
      object.set("2026-01-01T00:00:00Z", at: "status", "startedAt")
      object.set("2026-01-01T00:01:00Z", at: "status", "finishedAt")
    }
    return now
  }

  @Test("runs are followed by one watch, through a restart, and their ends are seen at once")
  func followed() async throws {
    let set = ProcessInfo.processInfo.environment["SIGNALBOX_FOLLOW_RUNS"].flatMap { Int($0) }
    let runs = set ?? 60
    try await withTemporaryFolder { folder in
      let cluster = try await TestCluster()
      let port = try freePort()
      try write(cluster.kubeconfig, folder + "/config")
      try write(manifests(port), folder + "/manifests/all.yaml")
      let options = [
        "--kubeconfig", folder + "/config", "--console", "127.0.0.1:0", "--log-level", "error",
      ]
      var program = try Program(folder, options)
      func go(_ number: Int) throws {
        let body = #"{"number":\#(number)}"#
        let request =
          "POST /go HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
          + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        let answer = try Socket.exchange(Array(request.utf8), port: port)
        try #require(answer.starts(with: "HTTP/1.1 202".utf8))
      }
      // The first ones warm everything up that is there once.
      let warm = 20
      for number in 0..<warm { try go(number) }
      _ = try wait(warm, "started", folder)
      let before = try memory(program)
      for number in 0..<runs { try go(warm + number) }
      let started = try wait(warm + runs, "started", folder)
      let after = try memory(program)
      #expect(cluster.watcherCount == 1)
      #expect(cluster.objects("workflows", "ci").count == warm + runs)

      program.end(by: SIGKILL)
      program = try Program(folder, options)
      while cluster.watcherCount != 1 { await Task.yield() }
      let names = started.keys.sorted()
      // One after the other, then the rest together.
      var late: [Double] = []
      for (index, name) in names.prefix(20).enumerated() {
        let ended = finish(cluster, name)
        let seen = try wait(index + 1, "succeeded", folder)[name] ?? 0
        late.append(Double(seen - ended) / 1e6)
      }
      var ended: [String: Int64] = [:]
      for name in names.dropFirst(20) { ended[name] = finish(cluster, name) }
      let seen = try wait(names.count, "succeeded", folder)
      let burst = ended.map { Double((seen[$0.key] ?? 0) - $0.value) / 1e6 }.sorted()
      #expect(Set(seen.keys) == Set(names))
      #expect(cluster.watcherCount == 1)
      let each = Double(after - before) / Double(runs)
      print(
        "\(runs) runs: \(each) KB each; one watch; an end is seen after \(late.max() ?? 0) ms at the "
          + "most, \(burst.count) together after \(burst[burst.count / 2]) ms (median), "
          + "\(burst.last ?? 0) ms (last)"
      )
      if set != nil {
        #expect(each < 20)
        #expect(late.max() ?? 0 < 1000)
      }
      #expect(program.end() == 0)
      await cluster.shutdown()
    }
  }
}
