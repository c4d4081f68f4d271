import Cluster
import JSON
import TestKit
import Testing

/// One rule of the specification of cluster APIs: what is done, and what comes of it.
struct Rule: Sendable, CustomTestStringConvertible {
  let section: String
  let name: String
  let check: @Sendable (Bench) async throws -> Void
  var workflows = TestCluster.WorkflowCRD.full

  var testDescription: String { "\(section): \(name)" }

  init(
    _ section: String,
    _ name: String,
    workflows: TestCluster.WorkflowCRD = .full,
    _ check: @escaping @Sendable (Bench) async throws -> Void
  ) {
    self.section = section
    self.name = name
    self.workflows = workflows
    self.check = check
  }
}

/// The test server keeps the rules that clients rely on, and our client reads them right.
@Suite struct RuleTests {
  @Test("a rule of the cluster API", arguments: objectRules + patchRules + errorRules)
  func rule(_ rule: Rule) async throws {
    try await Bench.run(workflows: rule.workflows) { try await rule.check($0) }
  }
}

let objectRules: [Rule] = [
  Rule("A.4", "a create answers uid, resourceVersion and generation") { bench in
    let made = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    #expect(made.at("metadata", "uid")?.asString?.isEmpty == false)
    #expect(made.at("metadata", "resourceVersion")?.asString?.isEmpty == false)
    #expect(made.at("metadata", "generation") == 1)
  },
  Rule("A.4", "generateName gets five characters, its base cut to 58") { bench in
    let base = String(repeating: "x", count: 70)
    let object: JSON = ["metadata": ["generateName": .string(base)]]
    let made = try await bench.client.create(bench.configMaps, namespace: "ci", object)
    let name = try #require(made.at("metadata", "name")?.asString)
    #expect(name.utf8.count == 63)
    #expect(name.dropFirst(58).allSatisfy { "bcdfghjklmnpqrstvwxz2456789".contains($0) })
  },
  Rule("A.4", "a name that is taken: 409 AlreadyExists, told from Conflict by its reason") {
    bench in
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    let error = await bench.refusal {
      _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    }
    #expect(error?.isAlreadyExists == true)
    #expect(error?.isConflict == false)
  },
  Rule("A.4", "what an owner owns goes with it") { bench in
    let owner = try await bench.client.create(bench.configMaps, namespace: "ci", map("owner"))
    var child = map("child")
    child.set(
      [
        [
          "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
          "uid": owner.at("metadata", "uid") ?? .null,
        ]
      ],
      at: "metadata",
      "ownerReferences"
    )
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", child)
    _ = try await bench.client.delete(bench.configMaps, namespace: "ci", name: "owner")
    #expect(bench.cluster.object("configmaps", "ci", "child") == nil)
  },
  Rule("A.5", "a list comes in pages and is whole") { bench in
    for number in 0..<7 {
      _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("m\(number)"))
    }
    let page = try await bench.client.page(
      bench.configMaps,
      namespace: "ci",
      query: [("limit", "3")]
    )
    #expect(page["items"]?.items.count == 3)
    let token = try #require(page.at("metadata", "continue")?.asString)
    let next = try await bench.client.page(
      bench.configMaps,
      namespace: "ci",
      query: [("limit", "10"), ("continue", token)]
    )
    #expect(next["items"]?.items.count == 4)
    // Section A.3: without their kind.
    #expect(next["items"]?.items.first?["kind"] == nil)
    #expect(next.at("metadata", "continue") == nil)
    #expect(try await bench.client.list(bench.configMaps, namespace: "ci").count == 7)
  },
  Rule("A.5", "an expired continuation: 410 Expired") { bench in
    for number in 0..<3 {
      _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("m\(number)"))
    }
    let page = try await bench.client.page(
      bench.configMaps,
      namespace: "ci",
      query: [("limit", "1")]
    )
    let token = try #require(page.at("metadata", "continue")?.asString)
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("z"))
    bench.cluster.expireHistory()
    let error = await bench.refusal {
      _ = try await bench.client.page(
        bench.configMaps,
        namespace: "ci",
        query: [("limit", "1"), ("continue", token)]
      )
    }
    #expect(error?.isGone == true)
    #expect(error?.reason == "Expired")
  },
  Rule("A.5", "selectors: labels by their grammar, fields by name only") { bench in
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "")] {
      var object = map(name)
      if !tier.isEmpty { object.set(.string(tier), at: "metadata", "labels", "tier") }
      _ = try await bench.client.create(bench.configMaps, namespace: "ci", object)
    }
    for (selector, expected) in [
      ("tier=web", "a"), ("tier!=web", "bc"), ("tier in (web,db)", "ab"), ("!tier", "c"),
      ("tier", "ab"), ("tier notin (db)", "ac"), ("tier,tier!=db", "a"),
    ] {
      let found = try await bench.client.list(
        bench.configMaps,
        namespace: "ci",
        labelSelector: selector
      )
      let names = found.compactMap { $0.at("metadata", "name")?.asString }.joined()
      #expect(names == expected, "\(selector)")
    }
    let one = try await bench.client.page(
      bench.configMaps,
      namespace: "ci",
      query: [("fieldSelector", "metadata.name=b")]
    )
    #expect(one["items"]?.items.count == 1)
    let error = await bench.refusal {
      _ = try await bench.client.page(
        bench.configMaps,
        namespace: "ci",
        query: [("fieldSelector", "spec.x=b")]
      )
    }
    #expect(error?.code == 400)
  },
  Rule("A.6", "a stale update: 409 Conflict; read and written again it succeeds") { bench in
    let made = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: "ci",
      name: "one",
      .merge,
      ["data": ["a": "1"]]
    )
    let error = await bench.refusal {
      _ = try await bench.client.replace(bench.configMaps, namespace: "ci", name: "one", made)
    }
    #expect(error?.isConflict == true)
    let changed = try await bench.client.update(
      bench.configMaps,
      namespace: "ci",
      name: "one"
    ) { object in
      var object = object
      object.set("2", at: "data", "b")
      return object
    }
    #expect(changed["data"] == ["a": "1", "b": "2"])
  },
  Rule("A.6", "an update of a custom resource without a version: 422") { bench in
    let type = try await bench.argo("workflows")
    _ = try await bench.client.create(type, namespace: "ci", workflow("one"))
    let error = await bench.refusal {
      _ = try await bench.client.replace(type, namespace: "ci", name: "one", workflow("one"))
    }
    #expect(error?.code == 422)
  },
  Rule("A.6", "the status of a Rollout is kept apart on both sides") { bench in
    let type = try await bench.argo("rollouts")
    #expect(type.hasStatus)
    let object: JSON = [
      "metadata": ["name": "shop"], "spec": ["replicas": 1], "status": ["abort": true],
    ]
    let made = try await bench.client.create(type, namespace: "ci", object)
    #expect(made["status"] == nil)
    // The quick map: accepted with 200, the status dropped in silence.
    let main = try await bench.client.patch(
      type,
      namespace: "ci",
      name: "shop",
      .merge,
      ["spec": ["paused": true], "status": ["abort": true]]
    )
    #expect(main["status"] == nil)
    #expect(main.at("spec", "paused") == true)
    #expect(main.at("metadata", "generation") == 2)
    let status = try await bench.client.patch(
      type,
      namespace: "ci",
      name: "shop",
      subresource: "status",
      .merge,
      ["spec": ["paused": false], "status": ["abort": true]]
    )
    #expect(status.at("status", "abort") == true)
    #expect(status.at("spec", "paused") == true)
    #expect(status.at("metadata", "generation") == 2)
  },
  Rule("map", "workflows and applications have no status subresource: 404") { bench in
    for plural in ["workflows", "applications"] {
      let type = try await bench.argo(plural)
      #expect(!type.hasStatus)
      _ = try await bench.client.create(type, namespace: "ci", ["metadata": ["name": "one"]])
      let error = await bench.refusal {
        _ = try await bench.client.patch(
          type,
          namespace: "ci",
          name: "one",
          subresource: "status",
          .merge,
          ["status": [:]]
        )
      }
      #expect(error?.code == 404)
    }
  },
  Rule("map", "without a status subresource the generation moves with the status") { bench in
    let type = try await bench.argo("workflows")
    _ = try await bench.client.create(type, namespace: "ci", workflow("one"))
    let changed = try await bench.client.patch(
      type,
      namespace: "ci",
      name: "one",
      .merge,
      ["status": ["phase": "Running"]]
    )
    #expect(changed.at("metadata", "generation") == 2)
  },
  Rule("A.8", "a finalizer keeps an object, a precondition saves a namesake") { bench in
    var object = map("one")
    object.set(["a.b/c"], at: "metadata", "finalizers")
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", object)
    let error = await bench.refusal {
      _ = try await bench.client.delete(
        bench.configMaps,
        namespace: "ci",
        name: "one",
        uid: "another"
      )
    }
    #expect(error?.code == 409)
    _ = try await bench.client.delete(bench.configMaps, namespace: "ci", name: "one")
    let kept = try await bench.client.get(bench.configMaps, namespace: "ci", name: "one")
    #expect(kept.at("metadata", "deletionTimestamp") != nil)
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: "ci",
      name: "one",
      .merge,
      ["metadata": ["finalizers": nil]]
    )
    #expect(bench.cluster.object("configmaps", "ci", "one") == nil)
  },
  Rule("A.10", "discovery tells plurals, scopes and subresources; what is missing is an error") {
    bench in
    let type = try await bench.client.resource("argoproj.io/v1alpha1", kind: "AnalysisRun")
    #expect(type.plural == "analysisruns")
    let template = try await bench.client.resource(
      "argoproj.io/v1alpha1",
      kind: "ClusterWorkflowTemplate"
    )
    #expect(!template.isNamespaced)
    for (version, kind) in [("argoproj.io/v1alpha1", "Nothing"), ("no.group/v1", "Nothing")] {
      let error = await bench.refusal { _ = try await bench.client.resource(version, kind: kind) }
      #expect(error?.kind == .configuration)
    }
    // Asked once per group and version that is there.
    let asked = bench.cluster.requests.filter { $0.hasSuffix("/apis/argoproj.io/v1alpha1") }
    #expect(asked.count == 2)
  },
  Rule("A.10", "a dry run answers the object and keeps nothing") { bench in
    let made = try await bench.client.create(
      bench.configMaps,
      namespace: "ci",
      map("one"),
      dryRun: true
    )
    #expect(made.at("metadata", "name") == "one")
    #expect(bench.cluster.object("configmaps", "ci", "one") == nil)
  },
]

let patchRules: [Rule] = [
  Rule("A.7", "a merge patch: null deletes, arrays are replaced whole") { bench in
    let type = try await bench.argo("workflows")
    let spec: JSON = ["entrypoint": "main", "hostAliases": [1, 2], "priority": 3]
    _ = try await bench.client.create(type, namespace: "ci", workflow("one", spec))
    let changed = try await bench.client.patch(
      type,
      namespace: "ci",
      name: "one",
      .merge,
      ["spec": ["hostAliases": [9], "priority": nil]]
    )
    #expect(changed["spec"] == ["entrypoint": "main", "hostAliases": [9]])
  },
  Rule("A.7", "a merge patch with a version locks, without one the last writer wins") { bench in
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    let error = await bench.refusal {
      _ = try await bench.client.patch(
        bench.configMaps,
        namespace: "ci",
        name: "one",
        .merge,
        ["metadata": ["resourceVersion": "1"], "data": ["a": "1"]]
      )
    }
    #expect(error?.isConflict == true)
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: "ci",
      name: "one",
      .merge,
      ["data": ["a": "1"]]
    )
  },
  Rule("A.7", "a JSON patch: escaped keys; a failed test or missing parent is 422") { bench in
    var object = map("one")
    object.set("1", at: "metadata", "annotations", "a/b")
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", object)
    let path: JSON = "/metadata/annotations/a~1b"
    let changed = try await bench.client.patch(
      bench.configMaps,
      namespace: "ci",
      name: "one",
      .json,
      [["op": "test", "path": path, "value": "1"], ["op": "replace", "path": path, "value": "2"]]
    )
    #expect(changed.at("metadata", "annotations", "a/b") == "2")
    for operation: JSON in [
      ["op": "test", "path": path, "value": "1"], ["op": "add", "path": "/x/y", "value": 1],
      ["op": "remove", "path": "/data"],
    ] {
      let error = await bench.refusal {
        _ = try await bench.client.patch(
          bench.configMaps,
          namespace: "ci",
          name: "one",
          .json,
          [operation]
        )
      }
      #expect(error?.code == 422)
    }
  },
  Rule("A.7", "a strategic patch of a custom resource: 415") { bench in
    let type = try await bench.argo("workflows")
    _ = try await bench.client.create(type, namespace: "ci", workflow("one"))
    let error = await bench.refusal {
      _ = try await bench.client.patch(
        type,
        namespace: "ci",
        name: "one",
        .strategic,
        ["spec": ["priority": 1]]
      )
    }
    #expect(error?.code == 415)
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: "ci",
      name: "one",
      .strategic,
      ["data": ["a": "1"]]
    )
  },
  Rule("A.7", "server-side apply: creates, conflicts by manager, forces, removes what is left out")
  {
    bench in
    func apply(_ data: JSON, force: Bool = false) async throws -> JSON {
      try await bench.client.patch(
        bench.configMaps,
        namespace: "ci",
        name: "one",
        .apply,
        [
          "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "one"], "data": data,
        ],
        force: force
      )
    }
    let made = try await apply(["a": "1", "b": "1"])
    #expect(made["data"] == ["a": "1", "b": "1"])
    #expect(made.at("metadata", "managedFields")?.items.first?["manager"] == "signalbox")
    let less = try await apply(["a": "1"])
    #expect(less["data"] == ["a": "1"])
    bench.cluster.change("configmaps", "ci", "one") { $0.set("2", at: "data", "a") }
    let error = await bench.refusal { _ = try await apply(["a": "1"]) }
    #expect(error?.isConflict == true)
    #expect(error?.causes == ["FieldManagerConflict"])
    let forced = try await apply(["a": "1"], force: true)
    #expect(forced["data"] == ["a": "1"])
  },
  Rule("A.7", "full CRD: unknown fields are pruned, parameters must be strings") { bench in
    let type = try await bench.argo("workflows")
    let made = try await bench.client.create(
      type,
      namespace: "ci",
      workflow("one", ["entrypoint": "main", "unknown": 1])
    )
    #expect(made["spec"] == ["entrypoint": "main"])
    let numbers: JSON = ["arguments": ["parameters": [["name": "n", "value": 1]]]]
    let error = await bench.refusal {
      _ = try await bench.client.create(type, namespace: "ci", workflow("two", numbers))
    }
    #expect(error?.code == 422)
  },
  Rule(
    "A.7",
    "minimal CRD: nothing is pruned, one manager owns the whole spec",
    workflows: .minimal
  ) {
    bench in
    let type = try await bench.argo("workflows")
    let numbers: JSON = ["x": 1, "arguments": ["parameters": [["name": "n", "value": 1]]]]
    let made = try await bench.client.create(type, namespace: "ci", workflow("one", numbers))
    #expect(made["spec"] == numbers)
    let fields = made.at("metadata", "managedFields")?.items.first?["fieldsV1"]
    #expect(fields?["f:spec"] == [:])
  },
]

let errorRules: [Rule] = [
  Rule("A.9", "429 and 503 with Retry-After are tried again, the wait kept") { bench in
    for (code, reason) in [(429, "TooManyRequests"), (503, "ServiceUnavailable")] {
      bench.cluster.failNext(
        "POST",
        "configmaps",
        code: code,
        reason: reason,
        retryAfterSeconds: 0
      )
      _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("m\(code)"))
    }
  },
  Rule("A.9", "a create that met 500 is uncertain and not repeated, a read is") { bench in
    bench.cluster.failNext("POST", "configmaps", code: 500, reason: "InternalError")
    let error = await bench.refusal {
      _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    }
    #expect(error?.isUncertain == true)
    let posts = bench.cluster.requests.filter { $0.hasPrefix("POST") }
    #expect(posts.count == 1)
    _ = try await bench.client.create(bench.configMaps, namespace: "ci", map("one"))
    bench.cluster.failNext("GET", "configmaps/one", code: 500, reason: "InternalError")
    _ = try await bench.client.get(bench.configMaps, namespace: "ci", name: "one")
  },
  Rule("A.9", "403 and 404 are final, with the words of the Status object") { bench in
    bench.cluster.failNext("GET", "configmaps/one", code: 403, reason: "Forbidden")
    let denied = await bench.refusal {
      _ = try await bench.client.get(bench.configMaps, namespace: "ci", name: "one")
    }
    #expect(denied?.code == 403)
    #expect(denied?.isTransient == false)
    #expect(denied?.description == "403 Forbidden: as the test wishes")
    let missing = await bench.refusal {
      _ = try await bench.client.get(bench.configMaps, namespace: "ci", name: "one")
    }
    #expect(missing?.isNotFound == true)
  },
  Rule("A.9", "names that would leave their path are refused before they are sent") { bench in
    for name in ["..", ".", "a/b", "a%2fb", "a b", ""] {
      let error = await bench.refusal {
        _ = try await bench.client.get(bench.configMaps, namespace: "ci", name: name)
      }
      #expect(error?.kind == .configuration, "\(name)")
      let space = await bench.refusal {
        _ = try await bench.client.get(bench.configMaps, namespace: name, name: "x")
      }
      #expect(space?.kind == .configuration, "\(name)")
    }
    #expect(bench.cluster.requests.isEmpty)
  },
]

private func map(_ name: String) -> JSON {
  ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
}
