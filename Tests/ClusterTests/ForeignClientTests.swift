import Foundation
import JSON
import Posix
import Synchronization
import TestKit
import Testing

/// Clients that nobody here wrote speak to the test server: what they take for a cluster is one.
@Suite struct ForeignClientTests {
  /// A program under way, its output by lines.
  private final class Running {
    let process = Process()
    private let output: PrintedOutput

    init(_ path: String, _ arguments: [String], _ environment: [String: String]) throws {
      process.executableURL = URL(fileURLWithPath: path)
      process.arguments = arguments
      process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
      let pipe = Pipe()
      process.standardOutput = pipe
      process.standardError = pipe
      try process.run()
      output = PrintedOutput(pipe)
    }

    var printed: String { output.all }

    /// Waits until it has printed `word`, or has ended.
    func wait(for word: String) async {
      while process.isRunning && !printed.contains(word) { await Task.yield() }
    }

    func end() {
      process.terminate()
      process.waitUntilExit()
    }
  }

  private func found(_ program: String, _ variable: String) -> String? {
    if let named = ProcessInfo.processInfo.environment[variable] { return named }
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return folders.map { "\($0)/\(program)" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }

  /// Runs to the end.
  private func run(
    _ path: String,
    _ arguments: [String],
    _ environment: [String: String],
    input: String = ""
  ) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let (output, stdin) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = output
    process.standardInput = stdin
    try process.run()
    try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try stdin.fileHandleForWriting.close()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
  }

  @Test(
    "kubectl gets, creates, applies both ways, patches, watches and deletes",
    arguments: ["token", "certificate"]
  )
  func kubectl(context: String) async throws {
    guard let kubectl = found("kubectl", "SIGNALBOX_TEST_KUBECTL") else {
      print("kubectl is not installed: the test server was not checked by it")
      return
    }
    try await Bench.run { bench in
      let environment = [
        "KUBECONFIG": bench.folder + "/config", "HOME": bench.folder, "HTTPS_PROXY": "",
      ]
      func call(_ arguments: String, input: JSON? = nil) throws -> String {
        let words = arguments.split(separator: " ").map(String.init)
        let (status, output) = try run(
          kubectl,
          ["--context", context] + words,
          environment,
          input: input?.text ?? ""
        )
        try #require(status == 0, "kubectl \(arguments): \(output)")
        return output
      }
      var object = workflow("one")
      #expect(try call("create --validate=false -f -", input: object).contains("created"))
      let watch = try Running(
        kubectl,
        ["--context", context, "get", "wf", "--watch", "-o", "name"],
        environment
      )
      await watch.wait(for: "/one")
      object.set("again", at: "spec", "entrypoint")
      #expect(try call("apply --validate=false -f -", input: object).contains("configured"))
      #expect(
        try call("apply --server-side --force-conflicts --validate=false -f -", input: object)
          .contains("serverside-applied")
      )
      _ = try call("patch wf one --type merge -p {\"spec\":{\"suspend\":true}}")
      _ = try call(
        "patch wf one --type json -p [{\"op\":\"replace\",\"path\":\"/spec/entrypoint\",\"value\":\"third\"}]"
      )
      let got = try call("get wf one -o json")
      let json = try JSON(parsing: Array(got.utf8))
      #expect(json.at("spec", "suspend") == true)
      #expect(json.at("spec", "entrypoint") == "third")
      let settings: JSON = [
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "settings"],
        "data": ["a": "1"],
      ]
      let two = try Running(
        kubectl,
        ["--context", context, "get", "cm", "--watch", "-o", "name"],
        environment
      )
      #expect(
        try call("create --validate=false -f -", input: settings).contains("created")
      )
      await two.wait(for: "configmap/settings")
      #expect(two.printed.contains("configmap/settings"))
      _ = try call("patch cm settings -p {\"data\":{\"b\":\"2\"}}")
      #expect(
        bench.cluster.object("configmaps", "ci", "settings")?["data"] == ["a": "1", "b": "2"]
      )
      #expect(try call("delete wf one").contains("deleted"))
      #expect(bench.cluster.object("workflows", "ci", "one") == nil)
      watch.end()
      two.end()
      // The initial state and each of the four changes.
      #expect(watch.printed.split(separator: "\n").count >= 5, "\(watch.printed)")
      let refused = try run(
        kubectl,
        ["--context", context, "get", "wf", "one"],
        environment
      )
      #expect(refused.status != 0)
      #expect(refused.output.contains("NotFound"))
    }
  }

  @Test("PyPI's kubernetes client lists, creates and watches custom objects")
  func python() async throws {
    guard let folder = ProcessInfo.processInfo.environment["SIGNALBOX_TEST_PYTHONPATH"],
      let python = found("python3", "SIGNALBOX_TEST_PYTHON")
    else {
      print("PyPI's kubernetes client is not installed: the test server was not checked by it")
      return
    }
    try await Bench.run { bench in
      let script = """
        import sys
        from kubernetes import client, config, watch
        config.load_kube_config(sys.argv[1])
        api = client.CustomObjectsApi()
        where = ("argoproj.io", "v1alpha1", "ci", "workflows")
        api.create_namespaced_custom_object(*where, {"apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow", "metadata": {"name": "one"}, "spec": {"entrypoint": "main"}})
        listed = api.list_namespaced_custom_object(*where)
        print("listed", len(listed["items"]), flush=True)
        version = listed["metadata"]["resourceVersion"]
        for event in watch.Watch().stream(api.list_namespaced_custom_object, *where,
                resource_version=version, timeout_seconds=300):
            print(event["type"], event["object"]["metadata"]["name"], flush=True)
            if event["type"] == "DELETED":
                break
        core = client.CoreV1Api()
        try:
            core.read_namespaced_config_map("absent", "ci")
        except client.ApiException as error:
            print("error", error.status, error.reason, flush=True)
        """
      let path = bench.folder + "/check.py"
      try Files.writeDurably(Array(script.utf8), to: path)
      let running = try Running(
        python,
        [path, bench.folder + "/config"],
        ["PYTHONPATH": folder, "HTTPS_PROXY": ""]
      )
      await running.wait(for: "listed 1")
      bench.cluster.change("workflows", "ci", "one") { $0.set("Running", at: "status", "phase") }
      bench.cluster.remove("workflows", "ci", "one")
      await running.wait(for: "error 404")
      running.process.waitUntilExit()
      #expect(running.process.terminationStatus == 0, "\(running.printed)")
      #expect(running.printed.contains("MODIFIED one\nDELETED one\n"), "\(running.printed)")
    }
  }
}
