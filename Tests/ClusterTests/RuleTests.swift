import Cluster
import JSON
import Posix
import TestKit
import Testing

/// One rule of the specification of cluster APIs: what is done, and what comes of it.
struct Rule: Sendable, CustomTestStringConvertible {
  let section: String
  let name: String
  let check: @Sendable (RuleBench) async throws -> Void
  var workflows = TestCluster.WorkflowCRD.full
  /// Kinds of Argo's, by their plurals, without which it cannot be shown.
  var kinds: [String] = []
  /// Why no other cluster can be asked to show it; nil: it can.
  var onlyHere: String?

  var testDescription: String { "\(section): \(name)" }

  init(
    _ section: String,
    _ name: String,
    workflows: TestCluster.WorkflowCRD = .full,
    kinds: [String] = [],
    onlyHere: String? = nil,
    _ check: @escaping @Sendable (RuleBench) async throws -> Void
  ) {
    self.section = section
    self.name = name
    self.workflows = workflows
    self.kinds = kinds
    self.onlyHere = onlyHere
    self.check = check
  }
}

/// Clusters keep the rules that clients rely on, and our client reads them right: the test server,
/// or the cluster that `SIGNALBOX_TEST_KUBECONFIG` names.
@Suite struct RuleTests {
  @Test("a rule of the cluster API", arguments: objectRules + patchRules + errorRules)
  func rule(_ rule: Rule) async throws {
    if let kubeconfig = setting("SIGNALBOX_TEST_KUBECONFIG") {
      try await RuleBench.run(rule, on: kubeconfig)
    } else {
      try await RuleBench.run(rule)
    }
  }

  @Test("the rules that any cluster can show hold on one that is known by its kubeconfig alone")
  func distant() async throws {
    try await withTemporaryFolder { folder in
      let cluster = try await TestCluster()
      let path = folder + "/config"
      var failure: (any Error)?
      do {
        try Files.writeDurably(Array(cluster.kubeconfig.utf8), to: path)
        let rules = (objectRules + patchRules + errorRules).filter { $0.onlyHere == nil }
        #expect(rules.count >= 19)
        for rule in rules { try await RuleBench.run(rule, on: path) }
        let left = cluster.objects("namespaces").compactMap { $0.at("metadata", "name")?.asString }
        #expect(!left.contains { $0.hasPrefix(RuleBench.namespacePrefix) })
      } catch { failure = error }
      await cluster.shutdown()
      if let failure { throw failure }
    }
  }
}

let objectRules: [Rule] = [
  Rule("A.4", "a create answers uid, resourceVersion and generation", kinds: ["workflows"]) {
    bench in
    // Objects without a spec, such as a ConfigMap, have no generation.
    let type = try await bench.argo("workflows")
    let made = try await bench.client.create(type, namespace: bench.namespace, workflow("one"))
    #expect(made.at("metadata", "uid")?.asString?.isEmpty == false)
    #expect(made.at("metadata", "resourceVersion")?.asString?.isEmpty == false)
    #expect(made.at("metadata", "generation") == 1)
  },
  Rule("A.4", "generateName gets five characters, its base cut to 58") { bench in
    let base = String(repeating: "x", count: 70)
    let object: JSON = ["metadata": ["generateName": .string(base)]]
    let made = try await bench.client.create(bench.configMaps, namespace: bench.namespace, object)
    let name = try #require(made.at("metadata", "name")?.asString)
    #expect(name.utf8.count == 63)
    #expect(name.dropFirst(58).allSatisfy { "bcdfghjklmnpqrstvwxz2456789".contains($0) })
  },
  Rule("A.4", "a name that is taken: 409 AlreadyExists, told from Conflict by its reason") {
    bench in
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("one"))
    let error = await bench.refusal {
      _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("one"))
    }
    #expect(error?.isAlreadyExists == true)
    #expect(error?.isConflict == false)
  },
  Rule("A.4", "what an owner owns goes with it") { bench in
    let owner = try await bench.client.create(
      bench.configMaps,
      namespace: bench.namespace,
      map("owner")
    )
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
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, child)
    _ = try await bench.client.delete(bench.configMaps, namespace: bench.namespace, name: "owner")
    #expect(try await bench.isGone("child"))
  },
  Rule("A.5", "a list comes in pages and is whole") { bench in
    for number in 0..<7 {
      _ = try await bench.client.create(
        bench.configMaps,
        namespace: bench.namespace,
        map("m\(number)", set: "pages")
      )
    }
    let page = try await bench.client.page(
      bench.configMaps,
      namespace: bench.namespace,
      query: [("limit", "3"), ("labelSelector", "set=pages")]
    )
    #expect(page["items"]?.items.count == 3)
    let token = try #require(page.at("metadata", "continue")?.asString)
    let next = try await bench.client.page(
      bench.configMaps,
      namespace: bench.namespace,
      query: [("limit", "10"), ("labelSelector", "set=pages"), ("continue", token)]
    )
    #expect(next["items"]?.items.count == 4)
    // Section A.3: without their kind.
    #expect(next["items"]?.items.first?["kind"] == nil)
    #expect(next.at("metadata", "continue") == nil)
    // A cluster puts a ConfigMap of its own into each namespace.
    let all = try await bench.client.list(
      bench.configMaps,
      namespace: bench.namespace,
      labelSelector: "set=pages"
    )
    #expect(all.count == 7)
  },
  Rule(
    "A.5",
    "an expired continuation: 410 Expired",
    onlyHere: "the history of another cannot be expired"
  ) { bench in
    for number in 0..<3 {
      _ = try await bench.client.create(
        bench.configMaps,
        namespace: bench.namespace,
        map("m\(number)")
      )
    }
    let page = try await bench.client.page(
      bench.configMaps,
      namespace: bench.namespace,
      query: [("limit", "1")]
    )
    let token = try #require(page.at("metadata", "continue")?.asString)
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("z"))
    bench.server?.expireHistory()
    let error = await bench.refusal {
      _ = try await bench.client.page(
        bench.configMaps,
        namespace: bench.namespace,
        query: [("limit", "1"), ("continue", token)]
      )
    }
    #expect(error?.isGone == true)
    #expect(error?.reason == "Expired")
  },
  Rule("A.5", "selectors: labels by their grammar, fields by name only") { bench in
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "")] {
      var object = map(name, set: "tiers")
      if !tier.isEmpty { object.set(.string(tier), at: "metadata", "labels", "tier") }
      _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, object)
    }
    for (selector, expected) in [
      ("tier=web", "a"), ("tier!=web", "bc"), ("tier in (web,db)", "ab"), ("!tier", "c"),
      ("tier", "ab"), ("tier notin (db)", "ac"), ("tier,tier!=db", "a"),
    ] {
      let found = try await bench.client.list(
        bench.configMaps,
        namespace: bench.namespace,
        labelSelector: selector + ",set=tiers"
      )
      let names = found.compactMap { $0.at("metadata", "name")?.asString }.joined()
      #expect(names == expected, "\(selector)")
    }
    let one = try await bench.client.page(
      bench.configMaps,
      namespace: bench.namespace,
      query: [("fieldSelector", "metadata.name=b")]
    )
    #expect(one["items"]?.items.count == 1)
    let error = await bench.refusal {
      _ = try await bench.client.page(
        bench.configMaps,
        namespace: bench.namespace,
        query: [("fieldSelector", "spec.x=b")]
      )
    }
    #expect(error?.code == 400)
  },
  Rule("A.6", "a stale update: 409 Conflict; read and written again it succeeds") { bench in
    let made = try await bench.client.create(
      bench.configMaps,
      namespace: bench.namespace,
      map("one")
    )
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: bench.namespace,
      name: "one",
      .merge,
      ["data": ["a": "1"]]
    )
    let error = await bench.refusal {
      _ = try await bench.client.replace(
        bench.configMaps,
        namespace: bench.namespace,
        name: "one",
        made
      )
    }
    #expect(error?.isConflict == true)
    let changed = try await bench.client.update(
      bench.configMaps,
      namespace: bench.namespace,
      name: "one"
    ) { object in
      var object = object
      object.set("2", at: "data", "b")
      return object
    }
    #expect(changed["data"] == ["a": "1", "b": "2"])
  },
  Rule("A.6", "an update of a custom resource without a version: 422", kinds: ["workflows"]) {
    bench in
    let type = try await bench.argo("workflows")
    _ = try await bench.client.create(type, namespace: bench.namespace, workflow("one"))
    let error = await bench.refusal {
      _ = try await bench.client.replace(
        type,
        namespace: bench.namespace,
        name: "one",
        workflow("one")
      )
    }
    #expect(error?.code == 422)
  },
  Rule("A.6", "the status of a Rollout is kept apart on both sides", kinds: ["rollouts"]) { bench in
    let type = try await bench.argo("rollouts")
    #expect(type.hasStatus)
    let object: JSON = [
      "metadata": ["name": "shop"], "spec": ["replicas": 1], "status": ["abort": true],
    ]
    let made = try await bench.client.create(type, namespace: bench.namespace, object)
    #expect(made["status"] == nil)
    // The quick map: accepted with 200, the status dropped in silence.
    let main = try await bench.client.patch(
      type,
      namespace: bench.namespace,
      name: "shop",
      .merge,
      ["spec": ["paused": true], "status": ["abort": true]]
    )
    #expect(main["status"] == nil)
    #expect(main.at("spec", "paused") == true)
    #expect(main.at("metadata", "generation") == 2)
    let status = try await bench.client.patch(
      type,
      namespace: bench.namespace,
      name: "shop",
      subresource: "status",
      .merge,
      ["spec": ["paused": false], "status": ["abort": true]]
    )
    #expect(status.at("status", "abort") == true)
    #expect(status.at("spec", "paused") == true)
    #expect(status.at("metadata", "generation") == 2)
  },
  Rule(
    "map",
    "workflows and applications have no status subresource: 404",
    kinds: ["workflows", "applications"]
  ) { bench in
    for plural in ["workflows", "applications"] {
      let type = try await bench.argo(plural)
      #expect(!type.hasStatus)
      _ = try await bench.client.create(
        type,
        namespace: bench.namespace,
        ["metadata": ["name": "one"]]
      )
      let error = await bench.refusal {
        _ = try await bench.client.patch(
          type,
          namespace: bench.namespace,
          name: "one",
          subresource: "status",
          .merge,
          ["status": [:]]
        )
      }
      #expect(error?.code == 404)
    }
  },
  Rule(
    "map",
    "without a status subresource the generation moves with the status",
    kinds: ["workflows"]
  ) { bench in
    let type = try await bench.argo("workflows")
    _ = try await bench.client.create(type, namespace: bench.namespace, workflow("one"))
    let changed = try await bench.client.patch(
      type,
      namespace: bench.namespace,
      name: "one",
      .merge,
      ["status": ["phase": "Running"]]
    )
    #expect(changed.at("metadata", "generation") == 2)
  },
  Rule("A.8", "a finalizer keeps an object, a precondition saves a namesake") { bench in
    var object = map("one")
    object.set(["a.b/c"], at: "metadata", "finalizers")
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, object)
    let error = await bench.refusal {
      _ = try await bench.client.delete(
        bench.configMaps,
        namespace: bench.namespace,
        name: "one",
        uid: "another"
      )
    }
    #expect(error?.code == 409)
    _ = try await bench.client.delete(bench.configMaps, namespace: bench.namespace, name: "one")
    let kept = try await bench.client.get(bench.configMaps, namespace: bench.namespace, name: "one")
    #expect(kept.at("metadata", "deletionTimestamp") != nil)
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: bench.namespace,
      name: "one",
      .merge,
      ["metadata": ["finalizers": nil]]
    )
    #expect(try await bench.isGone("one"))
  },
  Rule(
    "A.10",
    "discovery tells plurals, scopes and subresources; what is missing is an error",
    kinds: ["analysisruns", "clusterworkflowtemplates"]
  ) {
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
    guard let server = bench.server else { return }
    // Asked once per group and version that is there.
    let asked = server.requests.filter { $0.hasSuffix("/apis/argoproj.io/v1alpha1") }
    #expect(asked.count == 2)
  },
  Rule("A.10", "a dry run answers the object and keeps nothing") { bench in
    let made = try await bench.client.create(
      bench.configMaps,
      namespace: bench.namespace,
      map("one"),
      dryRun: true
    )
    #expect(made.at("metadata", "name") == "one")
    #expect(try await bench.isGone("one"))
  },
]

let patchRules: [Rule] = [
  Rule("A.7", "a merge patch: null deletes, arrays are replaced whole", kinds: ["workflows"]) {
    bench in
    let type = try await bench.argo("workflows")
    let spec: JSON = [
      "entrypoint": "main", "hostAliases": [["ip": "127.0.0.1"], ["ip": "127.0.0.2"]],
      "priority": 3,
    ]
    _ = try await bench.client.create(type, namespace: bench.namespace, workflow("one", spec))
    let changed = try await bench.client.patch(
      type,
      namespace: bench.namespace,
      name: "one",
      .merge,
      ["spec": ["hostAliases": [["ip": "127.0.0.3"]], "priority": nil]]
    )
    #expect(changed["spec"] == ["entrypoint": "main", "hostAliases": [["ip": "127.0.0.3"]]])
  },
  Rule("A.7", "a merge patch with a version locks, without one the last writer wins") { bench in
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("one"))
    let error = await bench.refusal {
      _ = try await bench.client.patch(
        bench.configMaps,
        namespace: bench.namespace,
        name: "one",
        .merge,
        ["metadata": ["resourceVersion": "1"], "data": ["a": "1"]]
      )
    }
    #expect(error?.isConflict == true)
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: bench.namespace,
      name: "one",
      .merge,
      ["data": ["a": "1"]]
    )
  },
  Rule("A.7", "a JSON patch: escaped keys; a failed test or missing parent is 422") { bench in
    var object = map("one")
    object.set("1", at: "metadata", "annotations", "a/b")
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, object)
    let path: JSON = "/metadata/annotations/a~1b"
    let changed = try await bench.client.patch(
      bench.configMaps,
      namespace: bench.namespace,
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
          namespace: bench.namespace,
          name: "one",
          .json,
          [operation]
        )
      }
      #expect(error?.code == 422)
    }
  },
  Rule("A.7", "a strategic patch of a custom resource: 415", kinds: ["workflows"]) { bench in
    let type = try await bench.argo("workflows")
    _ = try await bench.client.create(type, namespace: bench.namespace, workflow("one"))
    let error = await bench.refusal {
      _ = try await bench.client.patch(
        type,
        namespace: bench.namespace,
        name: "one",
        .strategic,
        ["spec": ["priority": 1]]
      )
    }
    #expect(error?.code == 415)
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("one"))
    _ = try await bench.client.patch(
      bench.configMaps,
      namespace: bench.namespace,
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
        namespace: bench.namespace,
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
    try await bench.changeByAnother("one", "a", "2")
    let error = await bench.refusal { _ = try await apply(["a": "1"]) }
    #expect(error?.isConflict == true)
    #expect(error?.causes == ["FieldManagerConflict"])
    let forced = try await apply(["a": "1"], force: true)
    #expect(forced["data"] == ["a": "1"])
  },
  Rule(
    "A.7",
    "full CRD: unknown fields are pruned, parameters must be strings",
    onlyHere: otherCRDs
  ) { bench in
    let type = try await bench.argo("workflows")
    let made = try await bench.client.create(
      type,
      namespace: bench.namespace,
      workflow("one", ["entrypoint": "main", "unknown": 1])
    )
    #expect(made["spec"] == ["entrypoint": "main"])
    let numbers: JSON = ["arguments": ["parameters": [["name": "n", "value": 1]]]]
    let error = await bench.refusal {
      _ = try await bench.client.create(type, namespace: bench.namespace, workflow("two", numbers))
    }
    #expect(error?.code == 422)
  },
  Rule(
    "A.7",
    "minimal CRD: nothing is pruned, one manager owns the whole spec",
    workflows: .minimal,
    onlyHere: otherCRDs
  ) {
    bench in
    let type = try await bench.argo("workflows")
    let numbers: JSON = ["x": 1, "arguments": ["parameters": [["name": "n", "value": 1]]]]
    let made = try await bench.client.create(
      type,
      namespace: bench.namespace,
      workflow("one", numbers)
    )
    #expect(made["spec"] == numbers)
    let fields = made.at("metadata", "managedFields")?.items.first?["fieldsV1"]
    #expect(fields?["f:spec"] == [:])
  },
]

let errorRules: [Rule] = [
  Rule(
    "A.9",
    "429 and 503 with Retry-After are tried again, the wait kept",
    onlyHere: failing
  ) { bench in
    for (code, reason) in [(429, "TooManyRequests"), (503, "ServiceUnavailable")] {
      bench.server?.failNext(
        "POST",
        "configmaps",
        code: code,
        reason: reason,
        retryAfterSeconds: 0
      )
      _ = try await bench.client.create(
        bench.configMaps,
        namespace: bench.namespace,
        map("m\(code)")
      )
    }
  },
  Rule(
    "A.9",
    "a create that met 500 is uncertain and not repeated, a read is",
    onlyHere: failing
  ) { bench in
    bench.server?.failNext("POST", "configmaps", code: 500, reason: "InternalError")
    let error = await bench.refusal {
      _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("one"))
    }
    #expect(error?.isUncertain == true)
    let posts = (bench.server?.requests ?? []).filter { $0.hasPrefix("POST") }
    #expect(posts.count == 1)
    _ = try await bench.client.create(bench.configMaps, namespace: bench.namespace, map("one"))
    bench.server?.failNext("GET", "configmaps/one", code: 500, reason: "InternalError")
    _ = try await bench.client.get(bench.configMaps, namespace: bench.namespace, name: "one")
  },
  Rule(
    "A.9",
    "403 and 404 are final, with the words of the Status object",
    onlyHere: failing
  ) { bench in
    bench.server?.failNext("GET", "configmaps/one", code: 403, reason: "Forbidden")
    let denied = await bench.refusal {
      _ = try await bench.client.get(bench.configMaps, namespace: bench.namespace, name: "one")
    }
    #expect(denied?.code == 403)
    #expect(denied?.isTransient == false)
    #expect(denied?.description == "403 Forbidden: as the test wishes")
    let missing = await bench.refusal {
      _ = try await bench.client.get(bench.configMaps, namespace: bench.namespace, name: "one")
    }
    #expect(missing?.isNotFound == true)
  },
  Rule("A.9", "names that would leave their path are refused before they are sent") { bench in
    for name in ["..", ".", "a/b", "a%2fb", "a b", ""] {
      let error = await bench.refusal {
        _ = try await bench.client.get(bench.configMaps, namespace: bench.namespace, name: name)
      }
      #expect(error?.kind == .configuration, "\(name)")
      let space = await bench.refusal {
        _ = try await bench.client.get(bench.configMaps, namespace: name, name: "x")
      }
      #expect(space?.kind == .configuration, "\(name)")
    }
    if let server = bench.server { #expect(server.requests.isEmpty) }
  },
]

private let otherCRDs = "another may have other definitions of Argo's kinds"
private let failing = "another cannot be made to fail"

/// - Parameter set: the label by which a list has these alone.
private func map(_ name: String, set: String? = nil) -> JSON {
  var map: JSON = ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)]]
  if let set { map.set(.string(set), at: "metadata", "labels", "set") }
  return map
}
