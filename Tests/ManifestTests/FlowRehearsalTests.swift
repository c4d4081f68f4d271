import Manifest
import Rehearsal
import Testing

/// What triggers say under `signalbox`, read, compiled and played on a clock of the test's own.
@Suite struct FlowRehearsalTests {
  private func manifest(_ trigger: String, conditions: String = "a", _ test: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: Sensor
    metadata: {name: s}
    spec:
      dependencies:
        - {name: a, eventSourceName: hooks, eventName: a}
        - {name: b, eventSourceName: hooks, eventName: b}
      triggers:
        - template:
            name: t
            conditions: "\(conditions)"
            http: {url: http://x.internal/, payload: [{src: {dependencyName: a, dataKey: "#.n", value: none}, dest: n}]}
          \(trigger)
      signalbox:
        tests:
          - name: one
            at: 2026-01-01T00:00:00Z
            events:
              - {id: a1, dependency: a, data: {k: x, n: 1}}
              - {id: a2, dependency: a, data: {k: y, n: 2}, after: 5s}
              - {id: b1, dependency: b, data: {k: x, n: 3}, after: 5s}
            wait: 60s
    \(test.split(separator: "\n").map { "        " + $0 }.joined(separator: "\n"))
    """
  }

  @Test(
    "each holds, lets go and fires when it should",
    arguments: [
      (
        "signalbox: {delay: 30s}", "a",
        """
        firings:
          - {trigger: t, events: {a: a1}, at: "2026-01-01T00:00:30Z"}
          - {trigger: t, events: {a: a2}, at: "2026-01-01T00:00:35Z"}
        """
      ),
      (
        "rateLimit: {unit: Minute, requestsPerUnit: 1}", "a",
        """
        firings:
          - {trigger: t, events: {a: a1}, at: "2026-01-01T00:00:00Z"}
          - {trigger: t, events: {a: a2}, at: "2026-01-01T00:01:00Z"}
        """
      ),
      (
        "rateLimit: {unit: Hour, requestsPerUnit: 1, signalbox: {burst: 2}}", "a || b",
        """
        firings: [{trigger: t, events: {a: a1}}, {trigger: t, events: {a: a2}}]
        notFired: [{event: b1, trigger: t, reason: "held until 2026-01-01T01:00:00Z"}]
        """
      ),
      (
        "signalbox: {suspend: true}", "a",
        "notFired: [{event: a1, trigger: t, reason: suspended}]"
      ),
      (
        "signalbox: {debounce: {wait: 10s}}", "a",
        """
        firings: [{trigger: t, events: {a: a2}, at: "2026-01-01T00:00:15Z"}]
        notFired: [{event: a1, trigger: t, reason: held by debounce}]
        """
      ),
      (
        "signalbox: {throttle: {per: 1h}}", "a",
        """
        firings: [{trigger: t, events: {a: a1}}]
        notFired: [{event: a2, trigger: t, reason: throttled}]
        """
      ),
      (
        "signalbox: {batch: {count: 9, within: 20s}}", "a",
        """
        firings:
          - {trigger: t, events: {a: a1 a2}, payload: {n: "[1,2]"}, at: "2026-01-01T00:00:20Z"}
        """
      ),
      (
        "signalbox: {correlate: {key: k, within: 30s}}", "a && b",
        """
        firings: [{trigger: t, events: {a: a1, b: b1}}]
        notFired: [{event: a2, trigger: t, reason: did not come in time}]
        state: {}
        """
      ),
      (
        "signalbox: {correlate: {key: {a: n, b: \"{{ .Input.k }}\"}, mode: exact}}", "a && b",
        """
        notFired: [{event: b1, trigger: t, reason: waits for a}]
        state: {t: {a: a1 a2, b: b1}}
        """
      ),
      (
        "signalbox: {correlate: {key: missing}}", "a && b",
        "notFired: [{event: a1, trigger: t, reason: \"error: key\"}]"
      ),
      (
        "signalbox: {absent: {after: a, within: 20s, key: k}}", "a && b",
        """
        firings: [{trigger: t, events: {a: a2}, at: "2026-01-01T00:00:25Z"}]
        """
      ),
    ]
  )
  func plays(trigger: String, conditions: String, test: String) {
    let rehearsed = Rehearsed(manifest(trigger, conditions: conditions, test))
    #expect(rehearsed.problems.isEmpty)
    #expect(rehearsed.differences.isEmpty && rehearsed.rehearsal.results.count == 1)
  }

  @Test(
    "what cannot be meant is refused with its place",
    arguments: [
      ("signalbox: {correlate: {within: 1s}}", "a || b", "without '&&' in conditions"),
      (
        "signalbox: {correlate: {within: 0s}}", "a && b", "found 0.0 seconds, expected more than 0s"
      ),
      ("signalbox: {correlate: {mode: newest}}", "a && b", "expected one of all, exact, latest"),
      ("signalbox: {correlate: {key: {a: k}}}", "a && b", "found none for 'b', expected one"),
      ("signalbox: {correlate: {key: {a: k, b: k, c: k}}}", "a && b", "found 'c', expected one of"),
      ("signalbox: {batch: {count: 2}}", "a && b", "is for conditions without '&&'"),
      ("signalbox: {batch: {}}", "a", "found neither count nor within"),
      ("signalbox: {absent: {after: c, within: 1s}}", "a && b", "found 'c', expected one of a, b"),
      ("signalbox: {absent: {after: a, within: 1s}}", "a", "what should follow it"),
      (
        "signalbox: {batch: {count: 2}, absent: {after: a, within: 1s}}", "a", "found beside absent"
      ),
      ("signalbox: {debounce: {wait: 2s, max: 1s}}", "a", "expected at least wait"),
      ("signalbox: {throttle: {per: 1s}, debounce: {wait: 2s}}", "a", "found beside debounce"),
      (
        "signalbox: {batch: {count: 2}, throttle: {per: 1s}}", "a", "not supported yet beside batch"
      ),
      ("signalbox: {concurrency: {limit: 0}}", "a", "expected a number from 1 to 10000"),
      (
        "signalbox: {concurrency: {limit: 1, mode: cancelOlder}}", "a",
        "cancelOlder is not supported yet for http"
      ),
      ("signalbox: {throtle: {per: 1s}}", "a", "did you mean 'throttle'?"),
      ("rateLimit: {unit: Day, requestsPerUnit: 1}", "a", "expected one of Hour, Minute, Second"),
      ("rateLimit: {unit: Second}", "a", "requestsPerUnit: found nothing"),
      ("rateLimit: {requestsPerUnit: 0}", "a", "expected a number from 1 to 1000000"),
    ]
  )
  func refuses(trigger: String, conditions: String, why: String) {
    let rehearsed = Rehearsed(manifest(trigger, conditions: conditions, ""))
    let words = (rehearsed.problems + rehearsed.differences).joined(separator: "\n")
    #expect(words.contains(why), "\(words)")
  }
}
