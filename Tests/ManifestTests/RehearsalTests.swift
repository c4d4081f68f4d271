import Event
import Foundation
import Manifest
import Rehearsal
import Testing

/// A sensor with every kind of filter and two dependencies, and tests.
private func manifest(_ tests: String) -> String {
  """
  apiVersion: argoproj.io/v1alpha1
  kind: Sensor
  metadata: {name: deploy}
  spec:
    dependencies:
      - name: push
        eventSourceName: git
        eventName: push
        filters:
          exprs:
            - expr: size > 10 && branch != "draft"
              fields: [{name: size, path: size}, {name: branch, path: branch}]
          data:
            - {path: branch, type: string, value: ["^main$"]}
            - {path: size, type: number, value: ["1000"], comparator: "<"}
          context: {type: git}
          time: {start: "08:00:00", stop: "18:00:00"}
      - {name: approval, eventSourceName: chat, eventName: approved}
      - {name: force, eventSourceName: chat, eventName: forced}
    triggers:
      - template:
          name: go
          conditions: (push && approval) || force
          http:
            url: http://deploy.internal/start
            payload:
              - {src: {dependencyName: push, dataKey: branch, value: none}, dest: branch}
              - src: {dependencyName: push, dataKey: size, useRawData: true, value: "0"}
                dest: size
              - src: {dependencyName: push, dataTemplate: "{{ now | date \\"15:04\\" }}", value: never}
                dest: at
            parameters:
              - {src: {dependencyName: push, dataKey: branch, value: none}, dest: url, operation: append}
    signalbox:
      tests:
  \(tests.split(separator: "\n").map { "      " + $0 }.joined(separator: "\n"))
  """
}

private let good = """
  - name: a push and an approval
    at: 2026-03-02T09:00:00Z
    events:
      - {id: p, dependency: push, type: git, data: &main {branch: main, size: 11}}
      - {id: a, dependency: approval, after: 90m}
    firings:
      - trigger: go
        events: {push: p, approval: a}
        payload: {branch: main, size: 11, at: "10:30"}
        fields: {url: http://deploy.internal/startmain}
    notFired: [{event: p, trigger: go, reason: waits for approval}]
    state: {go: {}}
  - name: force alone
    at: 2026-03-02T09:00:00Z
    events: [{id: f, dependency: force}]
    firings:
      - {trigger: go, payload: {branch: none, size: "0", at: never}, fields: {url: http://deploy.internal/startnone}}
  - name: each filter refuses
    at: 2026-03-02T09:00:00Z
    events:
      - {id: small, dependency: push, type: git, data: {branch: main, size: 10}}
      - {id: draft, dependency: push, type: git, data: {branch: draft, size: 11}}
      - {id: large, dependency: push, type: git, data: {branch: main, size: 1000}}
      - {id: type, dependency: push, type: other, data: *main}
      - {id: late, dependency: push, type: git, data: *main, after: 9h}
      - {id: early, dependency: push, type: git, data: *main, time: 2026-03-02T07:59:59.9Z}
      - {id: broken, dependency: push, type: git, text: "{"}
      - {id: approval, dependency: approval}
    notFired:
      - {event: small, trigger: go, reason: "push: exprs: "}
      - {event: draft, trigger: go, reason: "push: exprs: "}
      - {event: large, trigger: go, reason: "push: data: size is "}
      - {event: type, trigger: go, reason: "push: context: "}
      - {event: late, trigger: go, reason: "push: time: "}
      - {event: early, trigger: go, reason: "push: time: "}
      - {event: broken, trigger: go, reason: "push: error: "}
      - {event: approval, trigger: go, reason: waits for push}
    state: {go: {approval: approval}}
  - name: another branch, of a size between
    at: 2026-03-02T17:59:59Z
    events:
      - {id: p1, dependency: push, type: git, data: {branch: feature, size: 500}}
      - {id: p2, dependency: push, type: git, data: {branch: main, size: 500}}
    notFired:
      - {event: p1, trigger: go, reason: branch is 'feature'}
      - {event: p2, trigger: go, reason: waits for approval}
    state: {go: {push: p2}}
  """

@Suite struct RehearsalTests {
  @Test("a sensor's tests see what it decides and what it would act with")
  func passing() {
    let rehearsed = Rehearsed(manifest(good))
    #expect(rehearsed.problems == [])
    #expect(rehearsed.differences == [])
    #expect(rehearsed.rehearsal.results.map(\.firings) == [1, 1, 0, 0])
  }

  @Test("good tests catch nine mistakes of ten, poor ones do not")
  func mutants() {
    let rehearsed = Rehearsed(manifest(good))
    let score = rehearsed.rehearsal.mutations(rehearsed.set)
    #expect(score.count >= 20)
    #expect(score.percent >= 90, "\(score.missed)")
    let poor = Rehearsed(
      manifest("- {name: force, events: [{dependency: force}], firings: [{trigger: go}]}")
    )
    #expect(poor.differences == [])
    #expect(poor.rehearsal.mutations(poor.set).percent < 50)
  }

  @Test("settings of time and number are mistaken too, in each of their parts")
  func settingMutants() {
    func mutants(_ trigger: String) -> [String] {
      let text = sensor(triggers: "[{template: {name: t, log: {}}, \(trigger)}]")
      let set = read(text).set
      return set.sensors.flatMap { Mutant.all(of: $0.document.json) }.map(\.name).sorted()
    }
    #expect(
      mutants("signalbox: {debounce: {wait: 1h30m, max: 5h}}") == [
        "spec.triggers[0].signalbox.debounce.max: 5h becomes 10h",
        "spec.triggers[0].signalbox.debounce.wait: 1h30m becomes 2h30m",
        "spec.triggers[0].signalbox.debounce: dropped",
      ]
    )
    #expect(
      mutants("rateLimit: {unit: Minute, requestsPerUnit: 2, signalbox: {burst: 3}}") == [
        "spec.triggers[0].rateLimit.requestsPerUnit: 2 becomes 3",
        "spec.triggers[0].rateLimit.signalbox.burst: 3 becomes 4",
        "spec.triggers[0].rateLimit: dropped",
      ]
    )
    #expect(
      mutants("signalbox: {throttle: {limit: 1, per: 10m}, delay: 5s, suspend: true}").count == 6
    )
    // Nothing runs in a test, so nothing of it could be caught.
    #expect(mutants("signalbox: {concurrency: {limit: 1}}") == [])
  }

  @Test("tests of a sensor that says nothing of it are played as Argo Events did")
  func compat() {
    let text = sensor(
      dependencies: """
        [{name: a, eventSourceName: s, eventName: e, filters: {data: [
          {path: b, type: string, comparator: "!=", value: [^x$, ^y$]}]}}]
        """,
      more: """
        signalbox: {tests: [{name: n, events: [{dependency: a, data: {b: x}}], firings: []}]}
        """
    )
    #expect(Rehearsed(text).differences == [])
    #expect(Rehearsed(text, compat: .argo19).differences.count == 1)
  }

  @Test("coverage names what was never both true and false")
  func coverage() {
    let rehearsed = Rehearsed(
      manifest(
        """
        - name: one
          at: 2026-03-02T09:00:00Z
          events:
            - {dependency: push, type: git, data: {branch: main, size: 11}}
            - {dependency: push, type: git, data: {branch: dev, size: 11}}
          state: {go: {push: e1}}
        """
      )
    )
    #expect(rehearsed.differences == [])
    let open = rehearsed.rehearsal.coverage.flatMap(\.entries).filter { !$0.isCovered }
    #expect(
      open.map { "\($0.name) \($0.wasTrue)" } == [
        "push: exprs[0]: size > 10 && branch != \"draft\" true", "push: data[1]: size true",
        "push: context true", "push: time true", "go: conditions false",
      ]
    )
    let all = Rehearsed(manifest(good)).rehearsal.coverage.flatMap(\.entries)
    #expect(all.count == 6 && all.allSatisfy(\.isCovered))
  }

  @Test(
    "every expectation can fail, and says where",
    arguments: [
      (
        "firings: []",
        "firings[0]: expected nothing, found go fires for {force: f} at 2026-01-01T00:00:00Z"
      ),
      ("firings: [{trigger: go}, {trigger: go}]", "firings[1]: expected go fires, found nothing"),
      (
        "firings: [{trigger: to}]",
        "firings[0]: expected to fires, found go fires for {force: f} at 2026-01-01T00:00:00Z"
      ),
      (
        "firings: [{trigger: go, events: {force: g}}]",
        "firings[0].events.force: expected \"g\", found \"f\""
      ),
      (
        "firings: [{trigger: go, payload: {branch: main, size: \"0\", at: never}}]",
        "firings[0].payload.branch: expected \"main\", found \"none\""
      ),
      (
        "firings: [{trigger: go, payload: {branch: none, size: \"0\"}}]",
        "firings[0].payload.at: expected nothing, found \"never\""
      ),
      (
        "firings: [{trigger: go, fields: {url: http://a, }}]",
        "firings[0].fields.url: expected \"http://a\", found \"http://deploy.internal/startnone\""
      ),
      (
        "firings: [{trigger: go}]\n  notFired: [{event: f, trigger: go}]",
        "notFired[0]: expected not fired, found go fired"
      ),
      (
        "firings: [{trigger: go}]\n  notFired: [{event: g, trigger: go}]",
        "notFired[0].event: expected one of f, found g"
      ),
      (
        "firings: [{trigger: go}]\n  notFired: [{event: f, trigger: to}]",
        "notFired[0].trigger: expected one of go, found to"
      ),
      (
        "firings: [{trigger: go}]\n  state: {go: {push: p}}",
        "state.go.push: expected \"p\", found nothing"
      ),
      ("firings: [{trigger: go}]\n  state: {to: {}}", "state: expected one of go, found to"),
      (
        "firings: [{trigger: go}]\n  at: noon",
        "at: expected nothing, found found 'noon', expected a time such as 2026-01-01T00:00:00Z"
      ),
    ]
  )
  func failing(_ expectation: String, _ difference: String) {
    let test = "- name: n\n  events: [{id: f, dependency: force}]\n  " + expectation
    let rehearsed = Rehearsed(manifest(test))
    #expect(rehearsed.problems == [])
    #expect(rehearsed.differences == [difference])
  }

  @Test("events come from a file beside the manifest, or from a data folder")
  func sources() throws {
    try withFolder { folder in
      let test = """
        - name: file
          at: 2026-03-02T09:00:00Z
          events: [{dependency: push, type: git, file: push.json}, {stored: s1}]
          firings: [{trigger: go, events: {push: e1, approval: s1}}]
        - {name: absent, events: [{dependency: push, file: no.json}]}
        - {name: unknown, events: [{stored: s2}]}
        """
      let file = folder.appending(path: "deploy.yaml").path
      try Data("{\"branch\":\"main\",\"size\":11}".utf8).write(
        to: folder.appending(path: "push.json")
      )
      let event = Event(
        id: "s1",
        source: "chat",
        type: "webhook",
        subject: "approved",
        time: Timestamp(nanoseconds: 0),
        data: []
      )
      let rehearsed = Rehearsed(manifest(test), file: file, stored: [event])
      #expect(rehearsed.problems == [])
      #expect(
        rehearsed.differences == [
          "events[0].file: expected nothing, found open \(folder.path)/no.json: No such file or "
            + "directory",
          "events[0].stored: expected nothing, found no event 's2' in the data folder",
        ]
      )
    }
  }

  @Test("what is wrong with a test itself is an error of its manifest")
  func wrong() throws {
    let test = """
      - {name: n, evnts: []}
      - {name: n, sensor: other, events: [{id: a}, {stored: x, id: b}, {dependency: a, text: a, data: 1}]}
      """
    #expect(
      Rehearsed(manifest(test)).problems == [
        "f:36:9: error: spec.signalbox.tests[0].events: found none, expected at least one",
        "f:36:19: error: spec.signalbox.tests[0].evnts: found an unknown key 'evnts'; did you mean "
          + "'events'?",
        "f:37:9: error: spec.signalbox.tests[1].sensor: found 'other', but a test inside a sensor is "
          + "about that sensor",
        "f:37:43: error: spec.signalbox.tests[1].events[0]: found no origin, expected a dependency, "
          + "or source and event",
        "f:37:68: error: spec.signalbox.tests[1].events[1].id: found beside 'stored', which gives "
          + "the whole event",
        "f:37:72: error: spec.signalbox.tests[1].events[2]: found several of data, text, file and "
          + "stored, expected one at most",
      ]
    )
    try withFolder { folder in
      try Data("tests: [{name: n, events: [{dependency: a}]}]".utf8).write(
        to: folder.appending(path: "a_test.yaml")
      )
      let problems = Rehearsed(paths: [folder.path]).problems
      let place = folder.path + "/a"
      #expect(
        problems == [
          "\(place)_test.yaml:1:9: error: tests[0].sensor: found nothing, expected the name of a "
            + "sensor: \(place) has no sensor"
        ]
      )
    }
  }

  @Test("results are written for people and for programs")
  func reports() throws {
    let test = """
      - {name: "one & #", events: [{dependency: force}], firings: [{trigger: go}]}
      - {name: two, events: [{dependency: force}], firings: [{trigger: go, payload: "<"}]}
      """
    let report = Report(Rehearsed(manifest(test)).rehearsal.results)
    let human = report.text(.human)
    #expect(
      human.contains("ok    deploy: one & #  (1 events, 1 firings)\nFAIL  deploy: two  f:37:9\n")
    )
    #expect(human.contains("      firings[0].payload\n        expected \"<\"\n        found    {"))
    #expect(human.contains("2 tests, 1 failed"))
    let tap = report.text(.tap)
    #expect(tap.hasPrefix("TAP version 14\n1..2\nok 1 - deploy: one &  \nnot ok 2 - deploy: two\n"))
    let xml = try XMLDocumentReader(report.text(.junit))
    #expect(xml.elements == ["testsuites", "testsuite", "testcase", "testcase", "failure"])
    #expect(xml.attributes.contains { $0["name"] == "one & #" })
    #expect(xml.text.contains("expected \"<\""))
  }

  @Test(
    "the sensors that come with the program have tests, which catch mistakes",
    arguments: ["sensors", "deploy/examples/git", "deploy/examples/hooks", "deploy/examples/kafka"]
  )
  func bundled(folder: String) throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let rehearsed = Rehearsed(paths: [root.appending(path: folder).path])
    #expect(rehearsed.problems == [])
    #expect(rehearsed.differences == [])
    let tested = Set(rehearsed.rehearsal.results.map(\.sensor))
    for sensor in rehearsed.set.sensors {
      #expect(tested.contains(sensor.name), "\(sensor.name) has no test")
    }
    let score = rehearsed.rehearsal.mutations(rehearsed.set)
    #expect(score.percent >= 90, "\(score.missed)")
    let open = rehearsed.rehearsal.coverage.flatMap(\.entries).filter { !$0.isCovered }
    #expect(open.map { "\($0.sensor): \($0.name)" } == [])
  }
}

/// What an XML text says.
private final class XMLDocumentReader {
  private(set) var elements: [String] = []
  private(set) var attributes: [[String: String]] = []
  private(set) var text = ""

  /// A reader of the few forms that reports have; anything else throws.
  init(_ xml: String) throws {
    for part in xml.split(separator: "<").dropFirst() where !part.hasPrefix("/") {
      if part.hasPrefix("?xml") { continue }
      let head = part.prefix { $0 != ">" }
      let name = head.prefix { $0 != " " && $0 != "/" }
      elements.append(String(name))
      var found: [String: String] = [:]
      var rest = head.dropFirst(name.count)
      while let equals = rest.range(of: "=\"") {
        let key = rest[..<equals.lowerBound].filter { $0 != " " }
        let value = rest[equals.upperBound...].prefix { $0 != "\"" }
        found[key] = plain(value)
        rest = rest[value.endIndex...].dropFirst()
      }
      attributes.append(found)
      text += plain(part.dropFirst(head.count + 1))
    }
  }

  private func plain(_ text: Substring) -> String {
    var text = String(text)
    for (code, character) in [
      ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#10;", "\n"), ("&amp;", "&"),
    ] {
      text = text.replacing(code, with: character)
    }
    return text
  }
}
