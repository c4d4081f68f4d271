import Engine
import Event
import Expression
import JSON
import Manifest
import Sensor
import Server
import TestKit
import Testing

/// Both readings of what is doubtful in Argo Events (deploy/docs/compatibility.md).
@Suite struct CompatibilityTests {
  /// A sensor as it would run; nil where it is refused.
  private func plan(
    _ compat: String,
    dependencies: String,
    triggers: String = "[{template: {name: t, log: {}}}]"
  ) -> EnginePlan? {
    let diagnostics = Diagnostics()
    let text = sensor(
      dependencies: dependencies,
      triggers: triggers,
      more: "signalbox: {compat: \(compat)}"
    )
    let set = SensorCompiler.reader(diagnostics).read(text: text, file: "f")
    let compiler = SensorCompiler(program: builtProgram("signalbox"), world: .machine)
    return set.sensors.first.flatMap { compiler.plan($0, diagnostics) }
  }

  private func step(_ plan: EnginePlan?, _ data: String) -> Step? {
    var slots = Slots()
    let event = Event(
      id: "e1",
      source: "s",
      type: "webhook",
      subject: "e",
      time: Timestamp(nanoseconds: 1_700_000_000_000_000_000),
      data: Array(data.utf8)
    )
    return plan?.interlocking.step(event, at: "1", &slots, isActive: { _ in true })
  }

  @Test(
    "filters in both modes; by the name of the difference as by all of them",
    arguments: [
      (
        "data-values",
        "filters: {data: [{path: b, type: string, comparator: '!=', value: [^x$, ^y$]}]}",
        #"{"b": "x"}"#, false, true
      ),
      (
        "filter-errors",
        """
        filtersLogicalOperator: or, filters: {
          data: [{path: missing, type: string, value: [x]}], context: {type: webhook}}
        """, #"{"b": "x"}"#, true, false
      ),
      ("expr-fields", "filters: {exprs: [{expr: 'b == 1', fields: []}]}", #"{"b": 2}"#, nil, true),
      (
        "time-bounds", "filters: {time: {start: '09:00:00', stop: '09:00:00'}}", "{}", nil, true
      ),
    ] as [(String, String, String, Bool?, Bool)]
  )
  func filters(name: String, filters: String, data: String, fixed: Bool?, argo: Bool) {
    let dependency = "[{name: a, eventSourceName: s, eventName: e, \(filters)}]"
    func fires(_ compat: String) -> Bool? {
      step(plan(compat, dependencies: dependency), data).map { !$0.decisions.isEmpty }
    }
    #expect(fires("fixed") == fixed)
    #expect(fires("argo-1.9") == argo)
    #expect(fires("[\(name)]") == argo)
    #expect(fires("[log-interval]") == fixed)
  }

  @Test("condition-names: a-b and a_b are two dependencies, or the later one")
  func conditionNames() {
    let dependencies = """
      [{name: a-b, eventSourceName: s, eventName: e}, {name: a_b, eventSourceName: s, eventName: f}]
      """
    let trigger = "[{template: {name: t, conditions: a-b, log: {}}}]"
    func fires(_ compat: String) -> Bool? {
      step(plan(compat, dependencies: dependencies, triggers: trigger), "{}")
        .map { !$0.decisions.isEmpty }
    }
    #expect(fires("fixed") == true)
    #expect(fires("[condition-names]") == false)
  }

  @Test("unjudged-events: what no filter could judge is kept, or only counted")
  func unjudged() throws {
    let dependency = """
      [{name: a, eventSourceName: s, eventName: e,
        filters: {data: [{path: missing, type: string, value: [x]}]}}]
      """
    for (compat, isKept) in [("fixed", true), ("[unjudged-events]", false)] {
      let verdict = try #require(step(plan(compat, dependencies: dependency), "{}")?.verdicts.first)
      guard case .error = verdict.filter else {
        Issue.record("\(verdict.filter)")
        return
      }
      #expect(verdict.keepsUnjudged == isKept)
    }
  }

  private let one = "[{name: a, eventSourceName: s, eventName: e}]"

  @Test("retries: they count, or only with atLeastOnce")
  func retries() throws {
    func attempts(_ compat: String, _ more: String) throws -> Int {
      let trigger = "[{template: {name: t, log: {}}, retryStrategy: {steps: 3}\(more)}]"
      let made = try #require(plan(compat, dependencies: one, triggers: trigger))
      return try #require(made.triggers.values.first).retry.attempts
    }
    #expect(try attempts("fixed", "") == 3)
    #expect(try attempts("[retries]", "") == 1)
    #expect(try attempts("[retries]", ", atLeastOnce: true") == 3)
  }

  @Test("http-status: 200 to 299 are success, or any status")
  func httpStatus() throws {
    func statuses(_ compat: String, _ more: String) throws -> [Int]? {
      let trigger = "[{template: {name: t, http: {url: 'http://a.example/'}}\(more)}]"
      let made = try #require(plan(compat, dependencies: one, triggers: trigger))
      return try #require(made.triggers.values.first).statusAllow
    }
    #expect(try statuses("fixed", "") == nil)
    #expect(try statuses("[http-status]", "")?.contains(500) == true)
    #expect(try statuses("[http-status]", ", policy: {status: {allow: [204]}}") == [204])
  }

  @Test("message-parameters: they change the message, or nothing")
  func messageParameters() throws {
    let parameter = "{src: {dependencyName: a, dataKey: b}, dest: message}"
    let trigger = """
      [{template: {name: t, slack: {slackToken: {name: s, key: k}, channel: c, message: m,
        parameters: [\(parameter)]}}}]
      """
    for (compat, count) in [("fixed", 1), ("[message-parameters]", 0)] {
      let made = try #require(plan(compat, dependencies: one, triggers: trigger))
      #expect(try #require(made.triggers.values.first).parameters.count == count)
    }
  }

  @Test("log-interval: lines are kept apart, or not")
  func logInterval() throws {
    let trigger = "[{template: {name: t, log: {intervalSeconds: 60}}}]"
    for (compat, isKept) in [("fixed", true), ("[log-interval]", false)] {
      let made = try #require(plan(compat, dependencies: one, triggers: trigger))
      let fields = try #require(made.triggers.values.first).fields
      #expect((fields["intervalSeconds"] != nil) == isKept)
    }
  }

  @Test("cron-hours: a reset comes at its hour where clocks change, or is left out")
  func cronHours() throws {
    let trigger = """
      [{template: {name: t, conditions: a && b, log: {},
        conditionsReset: [{byTime: {cron: '30 2 * * *', timezone: Europe/Berlin}}]}}]
      """
    let dependencies = """
      [{name: a, eventSourceName: s, eventName: e}, {name: b, eventSourceName: s, eventName: f}]
      """
    func next(_ compat: String) throws -> Int? {
      let made = try #require(plan(compat, dependencies: dependencies, triggers: trigger))
      let rule = try #require(made.interlocking.sensors.first?.triggers.first)
      // Clocks go forward on 2026-03-29 at 02:00, so there is no 02:30 on that day.
      return rule.resets.first?.next(after: 1_774_739_000)
    }
    #expect(try next("fixed") != next("[cron-hours]"))
  }

  @Test("every difference is described, and a wrong name is an error with the nearest one")
  func names() throws {
    let problems = read(sensor(more: "signalbox: {compat: [data-value]}")).problems
    #expect(
      problems == [
        "7:24: error: spec.signalbox.compat[0]: found 'data-value', which is no difference; did you "
          + "mean 'data-values'?"
      ]
    )
    #expect(
      read(sensor(more: "signalbox: {compat: argo-2}")).problems == [
        "7:23: error: spec.signalbox.compat: found 'argo-2', expected fixed, argo-1.9 or a list of "
          + "differences"
      ]
    )
  }

  @Test("rate-burst: one firing at a time, 11 after a rest, or as many as are written")
  func rateBurst() throws {
    func burst(_ compat: String, _ more: String) throws -> Int? {
      let rate = "{unit: Minute, requestsPerUnit: 3\(more)}"
      let trigger = "[{template: {name: t, log: {}}, rateLimit: \(rate)}]"
      let made = try #require(plan(compat, dependencies: one, triggers: trigger))
      return try #require(made.triggers.values.first).flow.rate?.burst
    }
    #expect(try burst("fixed", "") == 1)
    #expect(try burst("[rate-burst]", "") == 11)
    #expect(try burst("argo-1.9", ", signalbox: {burst: 2}") == 2)
  }

  @Test("an event source asks for differences of event sources, a sensor for those of sensors")
  func owners() {
    let source = eventSource("{webhook: {e: {}}, signalbox: {compat: [retries, cron-hours]}}")
    #expect(
      read(source).problems.map { $0.drop { $0 != " " } } == [
        " error: spec.signalbox.compat[0]: found 'retries', which is no difference of event sources"
      ]
    )
    let problems = read(sensor(more: "signalbox: {compat: [source-filters]}")).problems
    #expect(problems.first?.contains("which is no difference of sensors") == true, "\(problems)")
    let good = read(eventSource("{webhook: {e: {}}, signalbox: {compat: argo-1.9}}"))
    #expect(good.problems.isEmpty && good.set.eventSources.first?.compat == .argo19)
  }

  @Test(
    "the places where an event source does something else are listed",
    arguments: [
      ("{webhook: {e: {filter: {expression: 'body.a == 1'}}}}", []),
      ("{webhook: {e: {filter: {expression: 'body.a contains \"x\" && body.b'}}}}", []),
      ("{webhook: {e: {filter: {expression: 'type == \"x\"'}}}}", [.sourceFilters]),
      ("{webhook: {e: {filter: {expression: 'not (body.a contains \"x\")'}}}}", [.sourceFilters]),
      ("{webhook: {e: {filter: {expression: 'body.a == [1]'}}}}", [.sourceFilters]),
      ("{webhook: {e: {filter: {}}}}", [.sourceFilters]),
      ("{webhook: {e: {filter: {}}}, signalbox: {compat: argo-1.9}}", []),
      ("{calendar: {e: {schedule: '30 2 * * *', timezone: Europe/Berlin}}}", [.cronHours]),
      ("{calendar: {e: {schedule: '30 * * * *', timezone: Europe/Berlin}}}", []),
      ("{calendar: {e: {schedule: '30 2 * * *'}}}", []),
    ] as [(String, [Difference])]
  )
  func sourceContrasts(spec: String, wanted: [Difference]) {
    let set = SensorCompiler.reader(Diagnostics()).read(text: eventSource(spec), file: "f")
    #expect(set.eventSources.flatMap { $0.contrasts(.fixed) }.map(\.difference) == wanted)
    #expect(set.eventSources.flatMap { $0.contrasts(.argo19) }.isEmpty)
  }

  @Test("the places where a manifest does something else are listed with what to write instead")
  func contrasts() throws {
    let dependencies = """
      [{name: a-b, eventSourceName: s, eventName: e, filtersLogicalOperator: or,
        filters: {data: [{path: b, type: string, comparator: '!=', value: [x, y]}],
                  time: {start: '09:00:00', stop: '09:00:00'},
                  exprs: [{expr: 'b == 1', fields: []}]}},
       {name: a_b, eventSourceName: s, eventName: f}]
      """
    let triggers = """
      [{template: {name: t, http: {url: 'http://a.example/'},
          conditionsReset: [{byTime: {cron: '30 2 * * *', timezone: Europe/Berlin}}]},
        retryStrategy: {steps: 3}},
       {template: {name: u, log: {intervalSeconds: 5}},
        rateLimit: {unit: Second, requestsPerUnit: 1}}]
      """
    let set = read(sensor(dependencies: dependencies, triggers: triggers)).set
    let found = try #require(set.sensors.first).contrasts(.fixed)
    #expect(
      Set(found.map(\.difference)) == [
        .dataValues, .filterErrors, .exprFields, .timeBounds, .conditionNames, .cronHours,
        .unjudgedEvents, .retries, .httpStatus, .logInterval, .rateBurst,
      ]
    )
    let retries = try #require(found.first { $0.difference == .retries })
    #expect(
      retries.description.hasSuffix(
        ": retries: spec.triggers[0].retryStrategy: here what fails is tried again, in Argo Events "
          + "1.9 nothing is: the attempt runs detached, once; write atLeastOnce: true beside "
          + "retryStrategy"
      )
    )
    #expect(set.sensors.first?.contrasts(.argo19).isEmpty == true)
  }
}
