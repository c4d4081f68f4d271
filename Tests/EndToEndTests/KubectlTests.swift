import Foundation
import JSON
import Manifest
import Posix
import TestKit
import Testing

/// What users have, applied by what users apply it with. `SIGNALBOX_TEST_KUBECTL` names another
/// kubectl.
@Suite struct KubectlTests {
  private static let namespace = "argo-events"

  private func kubectl() -> String? {
    let environment = ProcessInfo.processInfo.environment
    if let named = environment["SIGNALBOX_TEST_KUBECTL"] { return named }
    let folders = (environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/kubectl" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }

  private func call(_ path: String, _ bench: ClusterBench, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = ["-n", Self.namespace] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging([
      "KUBECONFIG": bench.folder + "/config", "HOME": bench.folder, "HTTPS_PROXY": "",
    ]) { $1 }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "kubectl \(arguments): \(text)")
    return text
  }

  /// The examples with a port that is free; what each document is, by its file.
  private func copy(
    _ examples: String,
    _ bench: ClusterBench
  ) throws -> [(file: String, kind: String, name: String)] {
    var found: [(file: String, kind: String, name: String)] = []
    for part in ["eventbus", "event-sources", "sensors"] {
      for name in try Files.list("\(examples)/\(part)").sorted() {
        let text = String(decoding: try Files.read("\(examples)/\(part)/\(name)"), as: UTF8.self)
          .replacing("\"12000\"", with: "\"\(bench.ports[0])\"")
          .replacing("\"13000\"", with: "\"\(bench.ports[1])\"")
        // Several files have the same name in them; that of the file tells them apart.
        let own = name.prefix { $0 != "." }.lowercased()
        let renamed = text.replacing(/\nmetadata:\n  name: .*\n/) { match in
          part == "eventbus" || own == "webhook"
            ? String(match.output) : "\nmetadata:\n  name: \(own)\n"
        }
        let file = "\(bench.folder)/manifests/\(part)/\(own).yaml"
        try write(renamed, file)
        for document in yamlDocuments(renamed, file: file, Diagnostics())
        where ["EventBus", "EventSource", "Sensor"].contains(document.json["kind"]?.asString) {
          found.append(
            (
              file, document.json["kind"]?.asString ?? "",
              document.json.at("metadata", "name")?.asString ?? ""
            )
          )
        }
      }
    }
    return found
  }

  /// What `validate` finds in each file: the field and the message.
  private func problems(_ bench: ClusterBench) throws -> [String: [String]] {
    let output = try signalbox([
      "validate", bench.folder + "/manifests", "--secrets", bench.folder + "/secrets",
    ]).output
    var problems: [String: [String]] = [:]
    for line in output.split(separator: "\n") {
      let parts = line.split(separator: ": error: ", maxSplits: 1).map(String.init)
      guard parts.count == 2, let file = parts[0].split(separator: ":").first else { continue }
      problems[String(file), default: []].append(parts[1])
    }
    return problems
  }

  /// What only a cluster refuses: the machine, other namespaces.
  private func isOfCluster(_ verdict: String) -> Bool {
    verdict.contains("reaches the machine that Signalbox runs on")
      || verdict.contains("is out of reach")
  }

  @Test("the examples of Argo Events, applied with kubectl, load or say why not; a webhook fires")
  func examples() async throws {
    let vectors = ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"]
    let shared =
      vectors
      ?? URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../shared")
      .standardized.path
    let examples = shared + "/manifests/argo-events"
    guard Files.kind(examples) == .folder else {
      print("\(examples) is not there: no example was applied")
      return
    }
    guard let kubectl = kubectl() else {
      print("kubectl is not installed: no example was applied")
      return
    }
    try await ClusterBench.run { bench in
      let documents = try copy(examples, bench)
      #expect(documents.count > 100)
      let problems = try problems(bench)
      let program = try bench.start(["--log-level", "error", "--namespace", Self.namespace])
      for part in ["eventbus", "event-sources", "sensors"] {
        let folder = "\(bench.folder)/manifests/\(part)"
        _ = try call(kubectl, bench, ["apply", "--validate=false", "-f", folder])
      }
      var verdicts: [String: String] = [:]
      for (file, kind, name) in documents {
        func verdict() -> String { bench.condition("Ready", kind, name, in: Self.namespace) }
        try bench.wait("the verdict about \(file)", program) { !verdict().isEmpty }
        let found = verdict()
        verdicts["\(kind) \(name)"] = found
        let expected = (problems[file] ?? []).filter { !$0.contains("no secret") }
        for problem in expected { #expect(found.contains(problem), "\(file): \(found)") }
        if problems[file] == nil {
          #expect(found.hasPrefix("True Loaded") || isOfCluster(found), "\(file): \(found)")
        } else {
          #expect(found.hasPrefix("False Refused"), "\(file): \(found)")
        }
      }
      let answer = bench.post("/example", #"{"message": "from a webhook"}"#)
      #expect(answer == "HTTP/1.1 202")
      try bench.wait("the workflow", program) {
        bench.cluster.objects("workflows", Self.namespace).contains { workflow in
          workflow.at("metadata", "name")?.asString?.hasPrefix("webhook-") == true
            && workflow.at("spec", "arguments", "parameters")?.items.first?["value"]?.asString?
              .contains("from a webhook") == true
        }
      }
      // Edit and delete, as users do it.
      _ = try call(
        kubectl,
        bench,
        [
          "patch", "es", "webhook", "--type", "merge", "-p",
          #"{"spec":{"webhook":{"example":{"endpoint":"/moved"}}}}"#,
        ]
      )
      try bench.wait("the edit", program) { bench.post("/moved") == "HTTP/1.1 202" }
      #expect(bench.post("/example") == "HTTP/1.1 404")
      #expect(
        try call(kubectl, bench, ["get", "sn,es,eb", "-o", "name"]).split(separator: "\n").count
          == documents.count
      )
      _ = try call(kubectl, bench, ["delete", "es", "webhook"])
      try bench.wait("the deletion", program) { bench.post("/moved") != "HTTP/1.1 202" }
      #expect(program.end() == 0)

      let loaded = verdicts.filter { $0.value.hasPrefix("True") }.count
      let unsupported = verdicts.filter { $0.value.contains("not supported") }.count
      let cluster = verdicts.values.filter(isOfCluster).count
      let secrets = verdicts.count - loaded - unsupported - cluster
      print(
        "\(verdicts.count) examples: \(loaded) load, \(unsupported) are not supported yet, "
          + "\(cluster) reach too far, \(secrets) lack their secrets"
      )
    }
  }
}
