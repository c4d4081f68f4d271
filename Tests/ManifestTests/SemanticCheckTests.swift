import Foundation
import Manifest
import Server
import TestKit
import Testing

/// What `validate` warns of though it is well-formed.
@Suite struct SemanticCheckTests {
  private func warnings(_ text: String) async throws -> [String] {
    try await withTemporaryFolder { folder in
      let path = folder + "/a.yaml"
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      return Server.validate(
        [path],
        secrets: folder,
        program: builtProgram("signalbox")
      ).filter { $0.severity == .warning }.map { String($0.description.dropFirst(path.count + 1)) }
    }
  }

  private func filtered(_ filters: String, more: String = "") -> String {
    sensor(
      dependencies: "[{name: a, eventSourceName: s, eventName: e, filters: {\(filters)}\(more)}]"
    )
  }

  @Test(
    "a filter that no event can pass, or every event",
    arguments: [
      (
        "data: [{path: b, type: number, comparator: '>', value: ['5']}, "
          + "{path: b, type: number, comparator: '<', value: ['3']}]",
        [
          "spec.dependencies[0].filters.data[1]: contradicts data[0]: b: no event passes both",
          "can never be true: no event passes a",
        ]
      ),
      (
        "data: [{path: b, type: string, value: [^x$]}], "
          + "exprs: [{expr: 'c == \"y\"', fields: [{name: c, path: b}]}]",
        ["contradicts exprs[0]", "can never be true"]
      ),
      (
        "context: {source: other}",
        ["found 'other', which contradicts eventSourceName 's'", "never"]
      ),
      ("data: [{path: b, type: string, value: ['.*']}]", ["no index", "which passes every value"]),
      ("", ["spec.dependencies[0].filters: passes every event: it holds no filter"]),
      (
        "data: [{path: b, type: string, comparator: '!=', value: [^x$]}]",
        ["no index can help: every event of s/e is held against it"]
      ),
      (
        "data: [{path: b, type: string, value: [^x]}, {path: b, type: string, value: [^xy$]}, "
          + "{path: c, type: number, comparator: '>', value: ['1']}, "
          + "{path: c, type: number, comparator: '<', value: ['3']}]",
        []
      ),
    ] as [(String, [String])]
  )
  func filters(filters: String, expected: [String]) async throws {
    let found = try await warnings(filtered(filters))
    #expect(found.count == expected.count, "\(found)")
    for (line, part) in zip(found, expected) { #expect(line.contains(part), "\(found)") }
  }

  @Test("alternatives do not contradict each other")
  func alternatives() async throws {
    let data = """
      data: [{path: b, type: string, value: [^x$]}, {path: b, type: string, value: [^y$]}],
      dataLogicalOperator: or
      """
    #expect(try await warnings(filtered(data)) == [])
  }

  @Test("names that are one in Argo Events, and fields that have no effect beside others")
  func fields() async throws {
    let found = try await warnings(
      sensor(
        dependencies: """
          [{name: a-b, eventSourceName: s, eventName: e},
           {name: a_b, eventSourceName: s, eventName: f}]
          """,
        triggers: """
          [{template: {name: t, http: {url: 'http://a.example/', payload: [
            {src: {dependencyName: a-b, dataKey: b, contextKey: id}, dest: x}]}}}]
          """
      )
    )
    #expect(found.count == 2, "\(found)")
    #expect(found.first?.contains("found 'a_b' beside 'a-b', which are one name") == true)
    #expect(found.last?.contains("contextKey and contextTemplate have no effect") == true)
  }

  @Test("a trigger that its own outcome fires, at once or over another sensor")
  func loops() async throws {
    func looping(_ name: String, on other: String) -> String {
      """
      apiVersion: argoproj.io/v1alpha1
      kind: Sensor
      metadata: {name: \(name)}
      spec:
        dependencies: [{name: d, eventSourceName: outcomes, eventName: \(other)/t/succeeded}]
        triggers: [{template: {name: t, log: {}}}]
      """
    }
    let alone = try await warnings(looping("one", on: "one"))
    #expect(
      alone.count == 1
        && alone[0].hasPrefix("5:18: warning: spec.dependencies[0].eventName: the trigger ")
    )
    let two = try await warnings(looping("one", on: "two") + "\n---\n" + looping("two", on: "one"))
    #expect(two.count == 2)
    #expect(try await warnings(looping("one", on: "two")) == [])
  }
}
