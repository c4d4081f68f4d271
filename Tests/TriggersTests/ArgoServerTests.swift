import Cluster
import Event
import JSON
import Plugin
import Posix
import TestKit
import Testing
import Triggers

/// What only Argo's own servers can do, and Argo CD without its cluster.
@Suite struct ArgoServerTests {
  private func with(
    _ body: (Bench, TestArgoServer) async throws -> Void
  ) async throws {
    let secrets = [
      "argo/token": TestArgoServer.token, "argo/ca": TestArgoServer.authorities,
      "argo/bad": "other",
    ]
    try await Bench.run(secrets: secrets) { bench in
      let server = try await TestArgoServer(bench.cluster)
      var failure: (any Error)?
      do { try await body(bench, server) } catch { failure = error }
      await server.shutdown()
      if let failure { throw failure }
    }
  }

  private func named(_ server: TestArgoServer, token: String = "token") -> String {
    #"{"url":"\#(server.url)","token":{"name":"argo","key":"\#(token)"},"#
      + #""caCertificate":{"name":"argo","key":"ca"}}"#
  }

  private func fields(_ operation: String, _ server: String) -> String {
    #"{"operation":"\#(operation)","signalbox":{"server":\#(server)},"source":{"resource":"#
      + #"{"metadata":{"name":"w","namespace":"ci"}}}}"#
  }

  private func put(_ bench: Bench, _ status: JSON, _ spec: JSON = [:]) throws -> JSON {
    try bench.cluster.put(
      "workflows",
      "ci",
      ["metadata": ["name": "w"], "spec": spec, "status": status]
    )
  }

  @Test("a failed run is retried once whatever is repeated, and followed to its new end")
  func retried() async throws {
    try await with { bench, server in
      await bench.controller.stop()
      _ = try put(
        bench,
        [
          "phase": "Failed", "startedAt": "2026-01-01T00:00:00Z",
          "finishedAt": "2026-01-01T00:01:00Z",
        ]
      )
      let trigger = try bench.trigger("argoWorkflow", fields("retry", named(server)))
      let one = firing()
      guard case .started(let started) = await trigger.fire(one) else {
        Issue.record("not started")
        return
      }
      // After a crash between the call and its record, and when it has failed again since.
      #expect(await trigger.fire(one) == .started(result: started))
      bench.cluster.change("workflows", "ci", "w") { object in
        object.set("Failed", at: "status", "phase")
        object.set("2026-01-02T00:00:00Z", at: "status", "finishedAt")
      }
      #expect(await trigger.fire(one) == .started(result: started))
      #expect(server.requests.count { $0.hasSuffix("/retry") } == 1)
      let failed = await trigger.follow(one, started: started) { _, _ in }
      #expect(failed.why == "the workflow ended as Failed")
      // Another firing retries it again; its follower does not take the old end for the new one.
      let two = firing("two")
      guard case .started(let again) = await trigger.fire(two) else {
        Issue.record("not started")
        return
      }
      let controller = try ArgoController(bench.cluster, seed: 1)
      let outcome = await trigger.follow(two, started: again) { _, _ in }
      await controller.stop()
      guard case .done = outcome else {
        Issue.record("\(outcome)")
        return
      }
      // What has succeeded, or runs, is not retried.
      guard case .reject(let why, _) = await trigger.fire(firing("three")) else {
        Issue.record("retried")
        return
      }
      #expect(why == "found phase Succeeded, expected Failed or Error")
    }
  }

  @Test("nodes that are kept elsewhere go on through the server, and are told at the end")
  func offloaded() async throws {
    try await with { bench, server in
      await bench.controller.stop()
      let object = try put(
        bench,
        ["phase": "Running", "offloadNodeStatusVersion": "fnv:1"],
        ["suspend": true]
      )
      let without = try bench.trigger(
        "argoWorkflow",
        #"{"operation":"resume","source":{"resource":{"metadata":{"name":"w","namespace":"ci"}}}}"#
      )
      let refused = await without.fire(firing())
      #expect(refused.why.contains("signalbox.server does not name one"))
      let trigger = try bench.trigger("argoWorkflow", fields("resume", named(server)))
      guard case .done = await trigger.fire(firing()) else {
        Issue.record("refused")
        return
      }
      #expect(bench.cluster.object("workflows", "ci", "w")?.at("spec", "suspend") == nil)

      var whole = object
      let end: JSON = [
        "phase": "Succeeded", "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:01:00Z", "offloadNodeStatusVersion": "fnv:2",
      ]
      whole.set(end, at: "status")
      bench.cluster.change("workflows", "ci", "w") { $0.set(end, at: "status") }
      whole.set(
        ["w": ["outputs": ["parameters": [["name": "image", "value": "shop:1"]]]]],
        at: "status",
        "nodes"
      )
      server.keep(whole)
      let started: JSON = [
        "namespace": "ci", "name": "w", "uid": object.at("metadata", "uid") ?? "",
      ]
      let outcome = await trigger.follow(firing(), started: started) { _, _ in }
      guard case .done(let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(result["outputs"] == ["image": "shop:1"])
    }
  }

  @Test("a run that was deleted unseen is looked up in the archive")
  func archived() async throws {
    try await with { bench, server in
      await bench.controller.stop()
      var object = try put(bench, ["phase": "Running"])
      let started: JSON = [
        "namespace": "ci", "name": "w", "uid": object.at("metadata", "uid") ?? "",
      ]
      bench.cluster.remove("workflows", "ci", "w")
      object.set(
        ["phase": "Failed", "message": "boom", "finishedAt": "2026-01-01T00:01:00Z"],
        at: "status"
      )
      server.keep(object)
      let trigger = try bench.trigger("argoWorkflow", fields("retry", named(server)))
      let outcome = await trigger.follow(firing(), started: started) { _, _ in }
      #expect(outcome.why == "the workflow ended as Failed: boom")
    }
  }

  // MARK: Argo CD

  private func application(_ bench: Bench, _ status: JSON = [:]) throws {
    try bench.cluster.put(
      "applications",
      "argocd",
      [
        "metadata": ["name": "shop"],
        "spec": ["syncPolicy": ["syncOptions": ["CreateNamespace=true"]]], "status": status,
      ]
    )
  }

  private func sync(_ server: TestArgoServer, _ more: String, token: String = "token") -> String {
    #"{"application":"shop","server":\#(named(server, token: token)),"timeout":"20s""# + more + "}"
  }

  @Test("an application is synced through the server once, and followed to its health")
  func synced() async throws {
    try await with { bench, server in
      try application(bench)
      let trigger = try bench.trigger(
        "argoCD",
        sync(server, #","revision":"abc","prune":true,"retry":{"limit":2}"#)
      )
      let one = firing()
      guard case .started(let started) = await trigger.fire(one) else {
        Issue.record("not started")
        return
      }
      #expect(await trigger.fire(one) == .started(result: started))
      let outcome = await trigger.follow(one, started: started) { _, _ in }
      guard case .done(let result) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      #expect(result["revision"] == "abc")
      #expect(server.requests.count { $0 == "POST /base/api/v1/applications/shop/sync" } == 1)
      let operation = bench.cluster.object("applications", "argocd", "shop")?
        .at("status", "operationState", "operation")
      #expect(operation?.at("sync", "prune") == true)
      #expect(operation?.at("sync", "syncOptions") == ["CreateNamespace=true"])
      #expect(operation?.at("retry", "limit") == 2)
      // The cluster itself was not asked.
      #expect(!bench.cluster.requests.contains { $0.contains("applications") })

      let refresh = try bench.trigger("argoCD", sync(server, #","operation":"refresh""#))
      guard case .done = await refresh.fire(firing("refresh")) else {
        Issue.record("not refreshed")
        return
      }
      let back = try bench.trigger(
        "argoCD",
        sync(server, #","operation":"rollback","historyID":0,"until":"applied""#)
      )
      guard case .done(let rolled) = await bench.ending(back, firing("back")) else {
        Issue.record("not rolled back")
        return
      }
      #expect(rolled["revision"] == "abc")
    }
  }

  @Test("what runs on the server is waited for, terminated and cancelled")
  func stopped() async throws {
    try await with { bench, server in
      await bench.controller.stop()
      try application(bench, ["operationState": ["phase": "Running", "startedAt": "1"]])
      let fail = try bench.trigger("argoCD", sync(server, #","whenBusy":"fail""#))
      #expect(await fail.fire(firing()).why == "another operation is in progress")
      let stop = try bench.trigger("argoCD", sync(server, #","operation":"terminate""#))
      guard case .done = await stop.fire(firing("stop")) else {
        Issue.record("not terminated")
        return
      }
      let controller = try ArgoController(bench.cluster, seed: 1)
      while bench.cluster.object("applications", "argocd", "shop")?
        .at("status", "operationState", "phase") != "Failed"
      {
        await Task.yield()
      }
      await controller.stop()
      let trigger = try bench.trigger("argoCD", sync(server, ""))
      let one = firing("one")
      guard case .started(let started) = await trigger.fire(one) else {
        Issue.record("not started")
        return
      }
      // Nothing can be terminated before it is picked up.
      guard case .retry = await trigger.cancel(one, started: started, why: "newer") else {
        Issue.record("not put off")
        return
      }
      bench.cluster.change("applications", "argocd", "shop") { object in
        object.set(
          ["operation": object["operation"] ?? .null, "phase": "Running", "startedAt": "2"],
          at: "status",
          "operationState"
        )
      }
      #expect(await trigger.cancel(one, started: started, why: "newer") == .asked)
      let again = try ArgoController(bench.cluster, seed: 1)
      let outcome = await trigger.follow(one, started: started) { _, _ in }
      await again.stop()
      guard case .cancelled("newer", _) = outcome else {
        Issue.record("\(outcome)")
        return
      }
    }
  }

  @Test("a wrong token is told in the server's words; what is misspelt is refused by field")
  func refused() async throws {
    try await with { bench, server in
      try application(bench)
      let trigger = try bench.trigger("argoCD", sync(server, "", token: "bad"))
      let outcome = await trigger.fire(firing())
      #expect(outcome.why == "status 401: no valid token")
      let (_, problems) = try made(
        "argoCD",
        #"{"application":"a","server":{"url":"argo","token":{"name":"argo","key":"none"}}}"#,
        bench.host
      )
      #expect(problems.contains { $0.contains("server.url: found 'argo'") }, "\(problems)")
      #expect(problems.contains { $0.contains("no argo/none") }, "\(problems)")
    }
  }
}
