import TestKit
import Testing

/// `signalbox test` as people and build servers call it.
@Suite struct TestCommandTests {
  private static func manifest(_ payload: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: x}
    spec:
      dependencies:
        - name: a
          eventSourceName: s
          eventName: e
          transform: {jq: ".n += 1"}
          filters: {data: [{path: n, type: number, value: ["2"]}]}
      triggers: [{template: {name: t, http: {url: http://h, secureHeaders: [{name: A, valueFrom:
        {secretKeyRef: {name: no, key: such}}}], payload: [{src: {dependencyName: a, dataKey: n,
        useRawData: true}, dest: n}]}}}]
      signalbox:
        tests:
          - name: one
            events: [{dependency: a, data: {n: 1}}, {dependency: a, data: {n: 5}}]
            firings: [{trigger: t, payload: \(payload)}]
    """
  }

  @Test("the exit status tells whether all tests passed, without secrets, jq included")
  func status() async throws {
    try await withTemporaryFolder { folder in
      try write(Self.manifest("{n: 2}"), folder + "/good/x.yaml")
      let good = try signalbox(["test", folder + "/good", "--mutate", "--coverage"])
      #expect(good.status == 0, "\(good.output)")
      #expect(good.output.contains("ok    x: one  (2 events, 1 firings)"))
      #expect(good.output.contains("1 of 1 clauses seen true and false"))
      #expect(good.output.contains("4 of 4 mistakes caught (100 %)"), "\(good.output)")

      try write(Self.manifest("{n: 3}"), folder + "/bad/x.yaml")
      let bad = try signalbox(["test", folder + "/bad", "--format", "tap"])
      #expect(bad.status == 1)
      #expect(bad.output.contains("not ok 1 - x: one"))
      #expect(bad.output.contains("path: \"firings[0].payload.n\"\n      expected: \"3\"\n"))
      #expect(try signalbox(["test", folder + "/good", "--format", "yaml"]).status == 64)
    }
  }

  @Test("no tests, and a test of nothing, are failures; a test file brings its manifest")
  func nothing() async throws {
    try await withTemporaryFolder { folder in
      let manifest = Self.manifest("{n: 2}").split(separator: "  signalbox:")[0]
      try write(String(manifest), folder + "/x.yaml")
      let none = try signalbox(["test", folder])
      #expect(none.status == 1 && none.output.contains("no tests in"))
      let test =
        "tests: [{name: n, events: [{dependency: a, data: {n: 1}}], firings: [{trigger: t}]}]"
      try write(test, folder + "/x_test.yaml")
      #expect(try signalbox(["test", folder + "/x_test.yaml"]).status == 0)
      try write("tests: []", folder + "/y_test.yaml")
      let empty = try signalbox(["test", folder])
      #expect(empty.status == 1)
      #expect(empty.output.contains("y_test.yaml:1:1: error: tests: found none"), "\(empty.output)")
    }
  }
}
