import Manifest
import Testing

private let head = "apiVersion: argoproj.io/v1alpha1\n"
private let trigger = "[{template: {name: t, log: {}}"

/// A manifest and everything that is wrong with it: `line:column: severity: field: message`.
struct Case: CustomTestStringConvertible, Sendable {
  let text: String
  let problems: [String]
  var testDescription: String { problems.first ?? text }

  init(_ text: String, _ problems: String...) {
    self.text = text
    self.problems = problems
  }
}

@Suite struct BadManifestTests {
  @Test("a broken document says where, what was found and what was expected", arguments: documents)
  func document(_ bad: Case) { #expect(read(bad.text).problems == bad.problems) }

  static let documents: [Case] = [
    Case(
      "a: [1",
      "2:1: error: YAML syntax: did not find expected ',' or ']' while parsing a flow "
        + "sequence"
    ),
    Case(
      "a: 1\n b: 2",
      "2:3: error: YAML syntax: mapping values are not allowed in this context"
    ),
    Case(
      "a: 1\nb: 2\na: 3",
      "1:1: error: found the key 'a' more than once, expected it once"
    ),
    Case(
      "- 1",
      "1:1: error: found a list, expected a mapping"
    ),
    Case(
      "a: *b",
      "1:4: error: YAML syntax: found undefined alias"
    ),
    Case(
      "? [a]\n: 1",
      "1:1: error: apiVersion: found nothing, expected a string",
      "1:1: error: kind: found nothing, expected a string",
      "1:3: error: found a key that is a list or a mapping, expected text"
    ),
    Case(
      "\tx: 1",
      "1:1: error: YAML syntax: found character that cannot start any token while "
        + "scanning for the next token"
    ),
    Case(
      "kind: Sensor",
      "1:1: error: apiVersion: found nothing, expected a string"
    ),
    Case(
      head + "kind: Senser\nmetadata: {name: a}\nspec: {}",
      "2:7: error: kind: found 'Senser', expected one of EventBus, EventSource, "
        + "Sensor; did you mean 'Sensor'?"
    ),
    Case(
      "apiVersion: v2\nkind: Sensor\nspec: {}",
      "1:13: error: apiVersion: found 'v2', expected 'argoproj.io/v1alpha1'"
    ),
    Case(
      "apiVersion: v1\nkind: ConfigMap\ndata: {}",
      "2:7: warning: kind: found 'ConfigMap', which is not ours to read; skipped"
    ),
    Case(
      head + "kind: Workflow",
      "2:7: warning: kind: found 'Workflow', which is not ours to read; skipped"
    ),
    Case(
      head + "kind: Sensor",
      "1:1: error: metadata: found nothing, expected a mapping with a name"
    ),
    Case(
      head + "kind: Sensor\nmetadata: {name: A_b}",
      "1:1: error: spec: found nothing, expected a mapping",
      "3:18: error: metadata.name: found 'A_b', expected at most 253 lower-case "
        + "letters, digits, '-' and '.', beginning and ending with a letter or digit"
    ),
    Case(
      head + "kind: EventBus\nmetadata: {name: a, namespace: a.b, label: {}}\nspec: {kafka: {}}",
      "3:32: error: metadata.namespace: found 'a.b', expected at most 63 lower-case "
        + "letters, digits and '-', beginning and ending with a letter or digit",
      "3:37: error: metadata.label: found an unknown key 'label'; did you mean "
        + "'labels'?"
    ),
    Case(
      head + "kind: EventBus\nmetadata: {name: a}\nspec: {}",
      "4:7: error: spec: found none, expected one of jetstream, jetstreamExotic, "
        + "kafka, nats"
    ),
    Case(
      head + "kind: EventBus\nmetadata: {name: a}\nspec: {jetstream: {version: latest, foo: 1}}",
      "4:29: info: spec.jetstream.version: has no meaning for the embedded log and is "
        + "not used",
      "4:37: error: spec.jetstream.foo: found an unknown key 'foo', expected one of "
        + "affinity, containerTemplate, imagePullSecrets, maxPayload, metadata, "
        + "metricsContainerTemplate, nodeSelector, persistence, priority, "
        + "priorityClassName, reloaderContainerTemplate, replicas, securityContext, "
        + "serviceAccountName, settings, startArgs, streamConfig, tolerations, version"
    ),
    Case(
      head
        + "kind: EventBus\nmetadata: {name: a}\nspec: {nats: {}, jetstream: {}}\nstatus: {}\nspce: 1",
      "4:7: error: spec: found jetstream, nats, expected one of jetstream, "
        + "jetstreamExotic, kafka, nats",
      "6:1: error: spce: found an unknown key 'spce'; did you mean 'spec'?"
    ),
    Case(
      "a: \u{1}",
      "1:4: error: YAML syntax: control characters are not allowed"
    ),
  ]

  @Test("a broken event source says where and why", arguments: eventSources)
  func source(_ bad: Case) { #expect(read(bad.text).problems == bad.problems) }

  static let eventSources: [Case] = [
    Case(
      eventSource("{}"),
      "4:7: error: spec: found no event, expected at least one under a kind such as "
        + "webhook or github"
    ),
    Case(
      eventSource("{webhook: {}}"),
      "4:7: error: spec: found no event, expected at least one under a kind such as "
        + "webhook or github"
    ),
    Case(
      eventSource("{webhook: {a: {}}}", name: "outcomes"),
      "3:18: error: metadata.name: found 'outcomes', which is reserved for what "
        + "triggers report"
    ),
    Case(
      eventSource("{webhook: {a: {}}, github: {a: {}}}"),
      "4:35: error: spec.github.a: found the event name 'a' again, expected one entry "
        + "of that name in an event source; the first is at f:4:18"
    ),
    Case(
      eventSource("{redis: {a: {}}, webhok: {}}"),
      "4:8: error: spec.redis: is not supported yet",
      "4:24: error: spec.webhok: found an unknown key 'webhok'; did you mean 'webhook'?"
    ),
    // What is not built yet is known to the bottom.
    Case(
      eventSource("{nats: {a: {urll: x, tls: {caCert: x}}}, sns: {b: 1}}"),
      "4:8: error: spec.nats: is not supported yet",
      "4:19: error: spec.nats.a.urll: found an unknown key 'urll'; did you mean 'url'?",
      "4:34: error: spec.nats.a.tls.caCert: found an unknown key 'caCert', expected one of "
        + "caCertSecret, clientCertSecret, clientKeySecret, enabled, insecureSkipVerify",
      "4:48: error: spec.sns: is not supported yet",
      "4:57: error: spec.sns.b: found a number, expected a mapping"
    ),
    Case(
      eventSource("{redis: {a: {}}, sns: {a: {}}}"),
      "4:8: error: spec.redis: is not supported yet",
      "4:24: error: spec.sns: is not supported yet",
      "4:30: error: spec.sns.a: found the event name 'a' again, expected one entry of that name in "
        + "an event source; the first is at f:4:16"
    ),
    Case(
      eventSource("{webhook: {a: {}}, template: {}, replicas: 2, eventBusName: X}"),
      "4:26: info: spec.template: has no meaning outside Kubernetes and is not used",
      "4:50: info: spec.replicas: has no meaning outside Kubernetes and is not used",
      "4:67: error: spec.eventBusName: found 'X', expected the name of an EventBus"
    ),
    Case(
      eventSource("{webhook: {a: {}}, signalbox: {compat: argo-1.9, x: 1}}"),
      "4:56: error: spec.signalbox.x: found an unknown key 'x', expected one of compat"
    ),
    Case(
      eventSource("{webhook: []}"),
      "4:7: error: spec: found no event, expected at least one under a kind such as "
        + "webhook or github",
      "4:17: error: spec.webhook: found a list, expected a mapping"
    ),
    Case(
      eventSource("{webhook: {a: {}}}") + "\n---\n" + eventSource("{webhook: {b: {}}}"),
      "8:18: error: metadata.name: found the EventSource default/x again, expected one "
        + "of that name; the first is at f:3:18"
    ),
    Case(
      eventSource("{webhook: {\"\": {}}}"),
      "4:18: error: spec.webhook.: found a name that is empty, longer than 253 bytes "
        + "or has control characters"
    ),
  ]

  @Test("a broken sensor says where and why", arguments: sensors)
  func sensorProblems(_ bad: Case) { #expect(read(bad.text).problems == bad.problems) }

  static let sensors: [Case] = [
    Case(
      sensor(dependencies: "[]", triggers: "[]"),
      "5:3: error: spec.dependencies: found none, expected at least one",
      "6:3: error: spec.triggers: found none, expected at least one"
    ),
    Case(
      sensor(dependencies: "3", triggers: "{}"),
      "5:17: error: spec.dependencies: found a number, expected a list",
      "6:13: error: spec.triggers: found a mapping, expected a list"
    ),
    Case(
      sensor(dependencies: "[{nme: a}]"),
      "5:18: error: spec.dependencies[0].name: found nothing, expected a string",
      "5:18: error: spec.dependencies[0].eventSourceName: found nothing, expected a "
        + "string",
      "5:18: error: spec.dependencies[0].eventName: found nothing, expected a string",
      "5:19: error: spec.dependencies[0].nme: found an unknown key 'nme'; did you mean "
        + "'name'?"
    ),
    Case(
      sensor(
        dependencies: "[{name: a, eventSourceName: s, eventName: e}, {name: a, eventSourceName: s, "
          + "eventName: e}]"
      ),
      "5:63: error: spec.dependencies[1].name: found the name 'a' again, expected one "
        + "dependency of that name; the first is at f:5:18"
    ),
    Case(
      sensor(dependencies: "[{name: a, eventSourceName: outcomes, eventName: x/t}]"),
      "5:66: error: spec.dependencies[0].eventName: found 'x/t', expected "
        + "<sensor>/<trigger>/<phase> with a phase of started, progress, succeeded, "
        + "failed, cancelled, skipped, unknown"
    ),
    Case(
      sensor(dependencies: "[{name: a, eventSourceName: outcomes, eventName: x/t/done}]"),
      "5:66: error: spec.dependencies[0].eventName: found 'x/t/done', expected "
        + "<sensor>/<trigger>/<phase> with a phase of started, progress, succeeded, "
        + "failed, cancelled, skipped, unknown"
    ),
    Case(
      sensor(
        dependencies: "[{name: a, eventSourceName: s, eventName: e, transform: {jq: .}, filters: "
          + "{exprs: [], context: {}, time: {}, script: x, dataLogicalOperator: AND, data: "
          + "[{path: b, type: int, value: [1, \"\"], comparator: ==, template: t}, {}]}, "
          + "filtersLogicalOperator: xor}]"
      ),
      "5:122: error: spec.dependencies[0].filters.time.start: found nothing, expected a string",
      "5:122: error: spec.dependencies[0].filters.time.stop: found nothing, expected a string",
      "5:158: error: spec.dependencies[0].filters.dataLogicalOperator: found 'AND', "
        + "expected one of and, or",
      "5:186: error: spec.dependencies[0].filters.data[0].type: found 'int', expected "
        + "one of bool, number, string",
      "5:199: error: spec.dependencies[0].filters.data[0].value[0]: found a number, "
        + "expected a string",
      "5:202: error: spec.dependencies[0].filters.data[0].value[1]: found an empty "
        + "string, expected text",
      "5:219: error: spec.dependencies[0].filters.data[0].comparator: found '==', "
        + "expected one of >=, >, =, !=, <, <=",
      "5:237: error: spec.dependencies[0].filters.data[1].path: found nothing, "
        + "expected a string",
      "5:237: error: spec.dependencies[0].filters.data[1].type: found nothing, "
        + "expected one of bool, number, string",
      "5:237: error: spec.dependencies[0].filters.data[1].value: found nothing, "
        + "expected at least one value",
      "5:267: error: spec.dependencies[0].filtersLogicalOperator: found 'xor', "
        + "expected one of and, or"
    ),
    Case(
      sensor(triggers: trigger + "}, {template: {name: t, log: {}}}]"),
      "6:57: error: spec.triggers[1].template.name: found the name 't' again, expected "
        + "one trigger of that name; the first is at f:6:25"
    ),
    Case(
      sensor(triggers: "[{template: {name: a/b, log: {}, http: {}}}, {}]"),
      "6:32: error: spec.triggers[0].template.name: found 'a/b', expected a name "
        + "without '/': outcomes use it",
      "6:37: error: spec.triggers[0].template.log: found the kinds http, log, expected "
        + "one of them",
      "6:58: error: spec.triggers[1].template: found nothing, expected a mapping"
    ),
    Case(
      sensor(
        triggers: "[{template: {name: a, k8s: {}}}, {template: {name: b}}, {template: {name: c, "
          + "log: }}]"
      ),
      "6:35: error: spec.triggers[0].template.k8s: is not supported yet",
      "6:57: error: spec.triggers[1].template: found no trigger kind, expected one of "
        + "command, http, log",
      "6:80: error: spec.triggers[2].template: found no trigger kind, expected one of "
        + "command, http, log"
    ),
    Case(
      sensor(
        triggers: "[{template: {name: a, openwhisk: {}}}, {template: {name: b, k8s: {operaton: x, "
          + "source: {url: {verifycert: true}}, parameters: [{scr: {}}]}}}]"
      ),
      "6:35: error: spec.triggers[0].template.openwhisk: is not supported yet; its name is "
        + "'openWhisk'",
      "6:73: error: spec.triggers[1].template.k8s: is not supported yet",
      "6:79: error: spec.triggers[1].template.k8s.operaton: found an unknown key 'operaton'; did "
        + "you mean 'operation'?",
      "6:119: warning: spec.triggers[1].template.k8s.source.url.verifycert: has no effect, here as "
        + "in Argo Events; did you mean 'verifyCert'?",
      "6:141: error: spec.triggers[1].template.k8s.parameters[0].scr: found an unknown key 'scr'; "
        + "did you mean 'src'?"
    ),
    Case(
      sensor(
        triggers: "[{template: {name: a, htpp: {}, conditionsReset: [{}]}, atLeastOnce: true, "
          + "rateLimit: {}, dlqTrigger: {}, policy: {k8s: {}, status: {allow: [99, 200]}}}]"
      ),
      "6:25: error: spec.triggers[0].template: found no trigger kind, expected one of "
        + "command, http, log",
      "6:35: error: spec.triggers[0].template.htpp: found an unknown key 'htpp'; did "
        + "you mean 'http'?",
      "6:63: error: spec.triggers[0].template.conditionsReset[0].byTime: found nothing, expected a "
        + "mapping with cron",
      "6:99: error: spec.triggers[0].rateLimit.requestsPerUnit: found nothing, expected a number",
      "6:115: error: spec.triggers[0].dlqTrigger.template: found nothing, expected a mapping",
      "6:133: error: spec.triggers[0].policy.k8s.labels: found nothing, expected at least one label",
      "6:154: error: spec.triggers[0].policy.status.allow[0]: found a number, expected "
        + "a status from 100 to 599"
    ),
    Case(
      sensor(
        triggers: trigger
          + ", policy: {status: {}}, atLeastOnce: false, signalbox: {compat: x, y: 1}}]"
      ),
      "6:62: error: spec.triggers[0].policy.status.allow: found nothing, expected at "
        + "least one status",
      "6:80: info: spec.triggers[0].atLeastOnce: has no effect: a trigger always fires "
        + "at least once",
      "6:107: error: spec.triggers[0].signalbox.compat: is not supported yet",
      "6:110: error: spec.triggers[0].signalbox.y: found an unknown key 'y', expected "
        + "one of absent, batch, compat, concurrency, correlate, debounce, delay, suspend, throttle"
    ),
    Case(
      sensor(
        triggers: trigger
          + ", retryStrategy: {steps: -1, duration: 2x, factor: \"2\", jitter: -1, step: 3}}]"
      ),
      "6:68: error: spec.triggers[0].retryStrategy.steps: found -1, expected a number "
        + "from 0 to 10000",
      "6:82: error: spec.triggers[0].retryStrategy.duration: found '2x', expected a "
        + "duration such as 500ms, 30s or 1h30m",
      "6:94: error: spec.triggers[0].retryStrategy.factor: found a string, expected a "
        + "number",
      "6:107: error: spec.triggers[0].retryStrategy.jitter: found -1.0, expected a "
        + "number that is not negative",
      "6:111: error: spec.triggers[0].retryStrategy.step: found an unknown key 'step'; "
        + "did you mean 'steps'?"
    ),
    Case(
      sensor(
        triggers: trigger
          + ", parameters: [{src: {dependencyName: b, dataTemplate: x, contextTemplate: y}, dest: \"\", operation: add}, {}]}]"
      ),
      "6:81: warning: spec.triggers[0].parameters[0].src.dependencyName: found 'b', "
        + "which is no dependency of this sensor; did you mean 'a'?",
      "6:128: error: spec.triggers[0].parameters[0].dest: found an empty string, "
        + "expected text",
      "6:143: error: spec.triggers[0].parameters[0].operation: found 'add', expected "
        + "one of append, overwrite, prepend",
      "6:149: error: spec.triggers[0].parameters[1].src: found nothing, expected a "
        + "mapping",
      "6:149: error: spec.triggers[0].parameters[1].dest: found nothing, expected a "
        + "string"
    ),
    Case(
      sensor(
        triggers: "[{template: {name: t, http: {payload: [{src: {dependencyName: a, value: 3}}, "
          + "{src: {dependencyName: a}, desk: x}]}}}]"
      ),
      "6:85: error: spec.triggers[0].template.http.payload[0].src.value: found a "
        + "number, expected a string",
      "6:117: error: spec.triggers[0].template.http.payload[1].desk: found an unknown "
        + "key 'desk'; did you mean 'dest'?"
    ),
    Case(
      sensor(
        more: "template: {}\n  errorOnFailedRound: true\n  loggingFields: {}\n  depndencies: "
          + "[]"
      ),
      "7:3: info: spec.template: has no meaning outside Kubernetes and is not used",
      "8:23: info: spec.errorOnFailedRound: has no effect, here as in Argo Events",
      "9:3: info: spec.loggingFields: has no effect, here as in Argo Events",
      "10:3: error: spec.depndencies: found an unknown key 'depndencies'; did you mean "
        + "'dependencies'?"
    ),
  ]
}
