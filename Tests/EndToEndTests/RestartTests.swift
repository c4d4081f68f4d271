import Bus
import Event
import EventLog
import Foundation
import Glibc
import Posix
import Synchronization
import TestKit
import Testing

/// The real binary, replaced by another one while clients send. `SIGNALBOX_RESTARTS` makes it
/// longer.
@Suite struct RestartTests {
  private func manifests(_ port: Int, _ folder: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: github}
    spec:
      github:
        push:
          webhook: {endpoint: /push, port: "\(port)"}
          webhookSecret: {name: github, key: secret}
    ---
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: work}
    spec:
      dependencies:
        - name: pushed
          eventSourceName: github
          eventName: push
          filters: {data: [{path: body.number, type: number, value: ["0"]}]}
      triggers:
        - template:
            name: job
            command:
              argv: [sh, -c, 'echo begun >> \(folder)/begun; while [ ! -e \(folder)/go ]; do sleep 0.05; done; echo ended >> \(folder)/ended']
    """
  }

  private static let restarts =
    setting("SIGNALBOX_RESTARTS", 10)

  private func prepare(_ folder: String, _ port: Int) throws {
    try write("canary-secret\n", folder + "/secrets/github/secret")
    try write(manifests(port, folder), folder + "/manifests/all.yaml")
  }

  /// The numbers of the pushes on the log, each with how often it is there.
  private func stored(_ folder: String) throws -> [String: Int] {
    var found: [String: Int] = [:]
    _ = try EventLogReader(folder: folder + "/data/log").read { record in
      if case .event(let event) = record.content, event.subject == "push" {
        found[event.id, default: 0] += 1
      }
    }
    return found
  }

  private func id(_ number: Int) -> String {
    Event.stableID("default", "github", "push", "", "d-\(number)")
  }

  @Test("taken over ten times under load: no connection refused or reset, nothing lost")
  func takeover() async throws {
    try await withTemporaryFolder { folder in
      let (port, console) = (try freePort(), try freePort())
      try prepare(folder, port)
      let options = ["--console", "127.0.0.1:\(console)", "--log-level", "error", "--takeover"]
      var program = try Program(folder, options)
      #expect(program.printed.contains("nothing runs on"))
      let client = SteadyClient(port: port, connections: 32)
      for round in 0..<Self.restarts {
        client.waitForMore(200)
        let next = try Program(folder, options)
        #expect(next.printed.contains("received the sockets of process"))
        #expect(program.wait() == 0, "\(program.printed)")
        #expect(program.printed.contains("another process takes over"))
        program = next
        // A command that runs goes on: it was begun once and has not ended.
        if round == 0 { #expect(try Files.read(folder + "/begun").count == 6) }
      }
      client.waitForMore(200)
      client.finish()
      #expect(client.troubles == [])
      try write("", folder + "/go")
      let deadline = MonotonicTime.now() + .seconds(20)
      while Files.kind(folder + "/ended") == nil, MonotonicTime.now() < deadline {
        _ = poll(nil, 0, 10)
      }
      #expect(program.end() == 0)
      let stored = try stored(folder)
      #expect(Set(client.acknowledged.map { id($0) }) == Set(stored.keys))
      #expect(stored.values.allSatisfy { $0 == 1 })
      #expect(try Files.read(folder + "/begun").count == 6)
      #expect(try Files.read(folder + "/ended").count == 6)
      print("restarts: \(Self.restarts); pushes across them: \(client.acknowledged.count)")
    }
  }

  @Test("a socket of systemd's keeps connections while nobody runs")
  func socketActivation() async throws {
    try await withTemporaryFolder { folder in
      // Stands for systemd: it holds the socket from before the first start to after the last.
      let socket = try Socket.listen("127.0.0.1", 0)
      let port = try Socket.port(socket)
      try prepare(folder, port)
      try write("", folder + "/go")
      let push = signedPush(#"{"number":1}"#, delivery: "d-1", secret: "canary-secret")
      for round in 1...2 {
        // Nobody accepts yet; the kernel does.
        let early = Task.detached { try Socket.exchange(push + Self.last, port: port) }
        let program = try ActivatedProgram(folder, socket.raw)
        let answer = String(decoding: try await early.value, as: UTF8.self)
        #expect(answer.contains(round == 1 ? "HTTP/1.1 202 " : #""duplicate":true"#), "\(answer)")
        program.end()
        #expect(program.printed.contains("sockets were there already for ports [\(port)]"))
      }
      #expect(try stored(folder) == [id(1): 1])
    }
  }

  /// Ends the connection after its answer.
  private static let last = Array(
    "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8
  )

  @Test("a takeover that cannot work leaves the running program alone")
  func refused() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      let taken = try Socket.listen("127.0.0.1", 0)
      try prepare(folder, port)
      try write("", folder + "/go")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      let run = [
        "run", folder + "/manifests", "--data", folder + "/data", "--secrets", folder + "/secrets",
        "--takeover", "--console", "127.0.0.1:0",
      ]
      // Another address than the socket has.
      let moved = try signalbox(run + ["--listen", "0.0.0.0"])
      #expect(moved.status == 1 && moved.output.contains("an address cannot change in a takeover"))
      // A port that somebody else has.
      let more = """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: more}
        spec: {webhook: {a: {endpoint: /a, port: "\(try Socket.port(taken))"}}}
        """
      try write(more, folder + "/manifests/more.yaml")
      let busy = try signalbox(run + ["--listen", "127.0.0.1"])
      #expect(busy.status == 1 && busy.output.contains("Address already in use"), "\(busy.output)")
      // Without --takeover the folder is somebody else's.
      try Files.remove(folder + "/manifests/more.yaml")
      let second = try signalbox(run.filter { $0 != "--takeover" } + ["--listen", "127.0.0.1"])
      #expect(
        second.status == 1 && second.output.contains("is in use by process"),
        "\(second.output)"
      )
      let push = signedPush(#"{"number":1}"#, delivery: "d-1", secret: "canary-secret")
      let answer = try Socket.exchange(push + Self.last, port: port)
      #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 202 "))
      #expect(program.isRunning && program.end() == 0)
    }
  }
}

/// The binary with a listening socket as its descriptor 3, as systemd starts it.
private final class ActivatedProgram {
  private let process: ProcessID
  private let output: String
  var printed: String { String(decoding: (try? Files.read(output)) ?? [], as: UTF8.self) }

  init(_ folder: String, _ socket: Int32) throws {
    output = folder + "/output"
    try? Files.remove(output)
    let file = try FileDescriptor.open(output, O_WRONLY | O_CREAT | O_APPEND)
    let null = try FileDescriptor.open("/dev/null", O_RDONLY)
    let run = [
      builtProgram("signalbox"), "run", folder + "/manifests", "--data", folder + "/data",
      "--secrets", folder + "/secrets", "--console", "127.0.0.1:0",
    ]
    process = try Posix.Program(
      path: "/bin/sh",
      arguments: ["sh", "-c", #"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@""#] + run,
      environment: ["PATH=/usr/bin:/bin"]
    ).start(descriptors: [null.raw, file.raw, file.raw, socket])
  }

  func end() {
    kill(process, SIGTERM)
    var status: Int32 = 0
    _ = unsafe waitpid(process, &status, 0)
    #expect(status == 0, "\(printed)")
  }
}
