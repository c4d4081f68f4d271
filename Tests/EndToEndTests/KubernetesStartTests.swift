import Foundation
import JSON
import Posix
import TestKit
import Testing

extension KubernetesTests {
  @Test("a cluster that nobody listens for at the start is found when it comes")
  func late() async throws {
    try await ClusterBench.run { bench in
      let port = try freePort()
      let config = bench.cluster.kubeconfig.replacing(
        "127.0.0.1:\(bench.cluster.tokenPort)",
        with: "127.0.0.1:\(port)"
      )
      try write(config, bench.folder + "/config")
      let program = try bench.start()
      #expect(bench.get("/readyz").hasPrefix("HTTP/1.1 503"))
      let late = try await TestCluster(tokenPort: port)
      try late.put(
        "eventsources",
        "ci",
        ["metadata": ["name": "source"], "spec": bench.hook("/hook")]
      )
      try bench.wait("the objects", program) { bench.post("/hook") == "HTTP/1.1 202" }
      try bench.wait("readiness", program) {
        bench.get("/readyz").contains("\r\n\r\nready\n")
      }
      #expect(program.end() == 0)
      await late.shutdown()
    }
  }

  @Test("a Secret that changes takes effect, and so does one that goes")
  func secretChanges() async throws {
    try await ClusterBench.run { bench in
      func secret(_ text: String) -> JSON { ["token": .string(base64(text))] }
      try bench.cluster.put(
        "secrets",
        "ci",
        ["metadata": ["name": "hook"], "data": secret("canary-one")]
      )
      var source = bench.hook("/hook")
      source.set(["name": "hook", "key": "token"], at: "webhook", "hook", "authSecret")
      try bench.apply("EventSource", "source", source)
      let program = try bench.start()
      func status(_ token: String) -> String {
        let request =
          "POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
          + "Authorization: Bearer \(token)\r\n\r\n{}"
        let answer = try? Socket.exchange(Array(request.utf8), port: bench.ports[0])
        return String(decoding: (answer ?? []).prefix(12), as: UTF8.self)
      }
      #expect(status("canary-one") == "HTTP/1.1 202")
      bench.cluster.change("secrets", "ci", "hook") { $0.set(secret("canary-two"), at: "data") }
      try bench.wait("the new secret", program) { status("canary-two") == "HTTP/1.1 202" }
      #expect(status("canary-one") == "HTTP/1.1 401")
      // While nobody can say otherwise the last one counts.
      bench.cluster.setAway(true)
      try bench.wait("the absence", program) { bench.get("/readyz").contains("ready, but for") }
      #expect(status("canary-two") == "HTTP/1.1 202")
      bench.cluster.setAway(false)
      bench.cluster.remove("secrets", "ci", "hook")
      try bench.wait("the verdict", program) {
        bench.condition("Ready", "EventSource", "source").contains("at the Secret ci/hook")
      }
      #expect(status("canary-two") != "HTTP/1.1 202")
      #expect(program.end() == 0)
      #expect(!program.printed.contains("canary"))
      for name in ["kubernetes.json"] {
        let text = try Files.read("\(bench.folder)/data/\(name)")
        #expect(!String(decoding: text, as: UTF8.self).contains("canary"))
      }
    }
  }

  @Test(
    "options that do not fit are refused before anything is done",
    arguments: [
      (["--namespace", "ci"], 64, "need --kubernetes"),
      (["--allow-command", "ci"], 64, "need --kubernetes"),
      (["--kubernetes", "--namespace", "Ci"], 64, "found 'Ci'"),
      (["--kubernetes", "--allow-namespace", "ci"], 64, "expected NAMESPACE=OTHER"),
      (["--kubernetes", "--allow-namespace", "ci=a/b"], 64, "expected NAMESPACE=OTHER"),
      (["--kubernetes", "--takeover"], 64, "do not go together"),
      (["--kubernetes", "a.yaml"], 64, "takes no files"),
      (["--kubernetes", "--kubeconfig", "/nowhere/config"], 1, "there is no file"),
    ]
  )
  func options(_ given: [String], _ status: Int, _ why: String) async throws {
    try await withTemporaryFolder { folder in
      let answer = try signalbox(["run", "--data", folder + "/data"] + given)
      #expect(Int(answer.status) == status)
      #expect(answer.output.contains(why), "\(answer.output)")
      #expect(Files.kind(folder + "/data") == nil)
    }
  }
}
