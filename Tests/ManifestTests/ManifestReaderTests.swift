import Foundation
import JSON
import Manifest
import Testing

@Suite struct ManifestReaderTests {
  private func read(_ paths: [String]) -> (set: ManifestSet, problems: [Diagnostic]) {
    let diagnostics = Diagnostics()
    let reader = ManifestReader(
      sourceKinds: ["webhook"],
      triggerKinds: ["log"],
      diagnostics
    )
    return (reader.read(paths), diagnostics.sorted)
  }

  @Test("folders are read to the bottom in the order of names, and other files are left alone")
  func folders() throws {
    try withFolder { folder in
      let files = [
        "b.yaml": eventSource("{webhook: {a: {}}}", name: "b"),
        "a/z.yml": eventSource("{webhook: {a: {}}}", name: "z"),
        "a/y.json": eventSource("{webhook: {a: {}}}", name: "y") + "\n---\n---\n"
          + eventSource("{webhook: {a: {}}}", name: "y2"),
        "a/notes.md": "a: [", ".git/x.yaml": "a: [",
      ]
      for (name, text) in files { try write(text, name, folder) }
      let (set, problems) = read([folder.path])
      #expect(problems == [])
      #expect(set.eventSources.map(\.name) == ["y", "y2", "z", "b"])
      #expect(set.eventSources.map(\.namespace) == ["default", "default", "default", "default"])
      #expect(set.eventSources.first?.mark.file == folder.path + "/a/y.json")
      // Named twice is read once.
      #expect(read([folder.path, folder.path + "/b.yaml"]).problems == [])
    }
  }

  @Test("every problem of every file is told at once, by file, line and column")
  func all() throws {
    try withFolder { folder in
      try write("a: [", "a.yaml", folder)
      try write(sensor(triggers: "[]"), "b.yaml", folder)
      try write(sensor(dependencies: "[]"), "c.yaml", folder)
      try Data([0x61, 0xff]).write(to: folder.appending(path: "d.yaml"))
      try Data(repeating: 0x20, count: (4 << 20) + 1).write(to: folder.appending(path: "e.yaml"))
      let problems = read([folder.path, folder.path + "/f.yaml"]).problems.map {
        String($0.description.dropFirst(folder.path.count + 1))
      }
      #expect(
        problems == [
          "a.yaml:2:1: error: YAML syntax: did not find expected node content "
            + "while parsing a flow node",
          "b.yaml:6:3: error: spec.triggers: found none, expected at least one",
          "c.yaml:3:18: error: metadata.name: found the Sensor default/x again, expected one of "
            + "that name; the first is at \(folder.path)/b.yaml:3:18",
          "c.yaml:5:3: error: spec.dependencies: found none, expected at least one",
          "d.yaml:1:1: error: found bytes that are not UTF-8",
          "e.yaml:1:1: error: cannot be read: read \(folder.path)/e.yaml: File too large",
          "f.yaml:1:1: error: found nothing here",
        ]
      )
    }
  }

  private func write(_ text: String, _ name: String, _ folder: URL) throws {
    let file = folder.appending(path: name)
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(),
      withIntermediateDirectories: true
    )
    try text.write(to: file, atomically: false, encoding: .utf8)
  }

  @Test("a sensor arrives with everything it says")
  func whole() throws {
    let text = """
      apiVersion: argoproj.io/v1alpha1
      kind: Sensor
      metadata: {name: x, namespace: team, labels: {a: b}}
      spec:
        eventBusName: main
        dependencies:
          - name: push
            eventSourceName: gh
            eventName: push
            filtersLogicalOperator: or
            filters:
              dataLogicalOperator: or
              data:
                - {path: body.ref, type: string, value: [main, dev], comparator: "!="}
        triggers:
          - template:
              name: t
              conditions: push
              http:
                url: http://a
                payload: [{src: {dependencyName: push, dataKey: body.ref}, dest: ref}]
                parameters:
                  - src: {dependencyName: push, contextKey: id, value: d, useRawData: true}
                    dest: url
                    operation: append
            parameters: [{src: {dependencyName: push, value: x}, dest: http.url}]
            policy: {status: {allow: [200, 404]}}
            atLeastOnce: true
            retryStrategy: {duration: 2s, factor: 1.5, jitter: 0}
          - template: {name: u, log: {}}
            retryStrategy: {steps: 3}
      """
    let (set, problems) = ManifestTests.read(text)
    #expect(problems == [])
    let sensor = try #require(set.sensors.first)
    #expect([sensor.namespace, sensor.name, sensor.bus] == ["team", "x", "main"])
    let dependency = try #require(sensor.dependencies.first)
    #expect(
      [dependency.name, dependency.eventSourceName, dependency.eventName] == ["push", "gh", "push"]
    )
    let filters = try #require(dependency.filters)
    #expect(filters.filtersLogicalOperator == .or && filters.dataLogicalOperator == .or)
    let filter = try #require(filters.data?.first)
    #expect(filter.path == "body.ref" && filter.type == .string && filter.comparator == .notEqual)
    #expect(filter.value == ["main", "dev"])
    #expect(filter.field == "spec.dependencies[0].filters.data[0]" && filter.mark.line == 14)

    try #require(sensor.triggers.count == 2)
    let http = sensor.triggers[0]
    #expect(http.name == "t" && http.conditions == "push" && http.kind == "http")
    #expect(http.specPath == "spec.triggers[0].template.http")
    #expect(http.spec["url"]?.json == "http://a")
    #expect(http.templateNode["http"]?["url"]?.json == "http://a")
    #expect(http.policyStatusAllow == [200, 404])
    #expect(
      http.retryStrategy == RetryManifest(steps: 5, duration: .seconds(2), factor: 1.5, jitter: 0)
    )
    #expect(http.payload.map(\.dest) == ["ref"] && http.payload.first?.dataKey == "body.ref")
    let parameter = try #require(http.resourceParameters.first)
    #expect(parameter.contextKey == "id" && parameter.value == "d" && parameter.useRawData)
    #expect(parameter.operation == .append && parameter.dest == "url")
    #expect(http.triggerParameters.map(\.dest) == ["http.url"])
    let log = sensor.triggers[1]
    #expect(log.conditions == nil && log.policyStatusAllow == nil)
    #expect(
      log.retryStrategy == RetryManifest(steps: 3, duration: .seconds(1), factor: 1, jitter: 1)
    )
  }
}
