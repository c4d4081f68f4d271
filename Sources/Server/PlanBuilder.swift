import Engine
import Event
import Expression
import JSON
import Manifest
import Plugin
import Sensor
import TLS

/// From manifests to what runs: expressions compiled, triggers and sources made, their relations
/// checked.
struct PlanBuilder {
  let sourceKinds: [EventSourceKind]
  let triggerKinds: [TriggerKind]
  let sourceHost: BusSourceHost
  let triggerHost: EngineTriggerHost
  let jq: JQWorkers
  var diagnostics: Diagnostics
  /// How what is doubtful is read where a manifest says nothing.
  var compat = Compatibility.fixed
  /// What templates, scripts and schedules see of the machine.
  var world = TemplateWorld.machine
  /// nil: all manifests are the operator's own.
  var namespaces: NamespaceRules?
  /// Ports that could not be listened on, with the reason.
  var refusedPorts: [Int: String] = [:]

  /// Everything of an installation.
  struct Plan: Sendable {
    var engine: EnginePlan
    let routes: [Route]
    let made: [MadeSource]
    /// Where the bus is on Kafka.
    let kafkaBus: KafkaBusSpec?

    /// `namespace/source/event` and kind, for the start's message.
    var sources: [String] { made.map { "\($0.name) (\($0.kind))" } }

    /// What is served on the socket file for pushes.
    var pushRoutes: [Route] { routes.filter { $0.port == Route.pushSocket } }

    /// In the order of the ports.
    var routesByPort: [(Int, [Route])] {
      Dictionary(grouping: routes.filter { $0.port != Route.pushSocket }, by: \.port)
        .sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
  }

  /// nil when there was an error.
  /// - Parameter checksMeaning: whether to warn of what is well-formed and cannot be meant.
  func build(_ paths: [String], checksMeaning: Bool = true) -> Plan? {
    build(SensorCompiler.reader(diagnostics).read(paths), checksMeaning: checksMeaning)
  }

  /// As above, of manifests that were read with the same diagnostics.
  func build(_ set: ManifestSet, checksMeaning: Bool) -> Plan? {
    var routes: [Route] = []
    var made: [MadeSource] = []
    var open: [(key: EventKey, entry: EventSourceEntry)] = []
    for manifest in set.eventSources {
      var host = sourceHost(in: manifest.namespace)
      host.compat = manifest.compat ?? compat
      for entry in manifest.entries {
        guard let kind = sourceKinds.first(where: { $0.kind == entry.kind }) else { continue }
        checkMachine(kind, entry, manifest.namespace)
        let name = EventSourceName(
          namespace: manifest.namespace,
          bus: manifest.bus,
          source: manifest.name,
          event: entry.name
        )
        guard let source = kind.make(entry.node, entry.path, name, host, diagnostics) else {
          continue
        }
        made.append(
          MadeSource(
            name: name,
            kind: entry.kind,
            fingerprint: nodeFingerprint(entry.node) + host.compat.ofSources,
            source: source
          )
        )
        if !source.isAuthenticated { open.append((key(of: name), entry)) }
        for route in source.routes {
          checkFree(route, routes, entry)
          var owned = route
          owned.owner = (manifest.namespace, host.secrets)
          routes.append(owned)
        }
      }
    }
    var sensors: [SensorPlan] = []
    var triggers: [TriggerPlan] = []
    for manifest in set.sensors {
      let (sensor, made) = compile(manifest)
      sensors.append(sensor)
      triggers += made
    }
    checkCommands(reachedFrom: open, sensors, triggers, set.sensors)
    if checksMeaning {
      var checks = SemanticChecks(self)
      checks.check(set.sensors)
    }
    let plan = Plan(
      engine: EnginePlan(sensors: sensors, triggers: triggers),
      routes: routes,
      made: made,
      kafkaBus: KafkaBusSpec.read(set.buses, { sourceHost(in: $0).secrets }, diagnostics)
    )
    for (_, routes) in plan.routesByPort {
      PortCertificates(routes)?.check(routes, diagnostics)
    }
    return diagnostics.hasErrors ? nil : plan
  }

  /// One sensor and what its triggers do.
  func compile(_ manifest: SensorManifest) -> (SensorPlan, [TriggerPlan]) {
    var builder = self
    if let compat = manifest.compat { builder.compat = compat }
    return builder.compiled(manifest)
  }

  private func compiled(_ manifest: SensorManifest) -> (SensorPlan, [TriggerPlan]) {
    let dependencies = manifest.dependencies.map { dependency($0, manifest) }
    let names = dependencies.map(\.name)
    // Of dependencies with one name the last counts, as everywhere.
    let transforms = Dictionary(
      dependencies.compactMap { one in one.transform.map { (one.name, $0) } }
    ) { _, last in last }
    var rules: [TriggerRule] = []
    var triggers: [TriggerPlan] = []
    for trigger in manifest.triggers {
      let id = TriggerID(
        sensor: SensorID(namespace: manifest.namespace, name: manifest.name),
        name: trigger.name
      )
      if let rule = rule(trigger, id, names) { rules.append(rule) }
      var made = plan(trigger, id, manifest, names, transforms)
      for last in trigger.deadLetterTrigger {
        let other = TriggerID(sensor: id.sensor, name: last.name)
        if let plan = plan(last, other, manifest, names, transforms) { triggers.append(plan) }
        made?.deadLetterTrigger = other
      }
      if let made { triggers.append(made) }
    }
    let sensor = SensorPlan(
      id: SensorID(namespace: manifest.namespace, name: manifest.name),
      bus: manifest.bus,
      dependencies: dependencies,
      triggers: rules,
      start: start(manifest),
      keepsUnjudged: !compat.keeps(.unjudgedEvents)
    )
    return (sensor, triggers)
  }

  private func key(of name: EventSourceName) -> EventKey {
    EventKey(
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      subject: name.event
    )
  }

  /// A program must not run because somebody who proved nothing sent a request.
  private func checkCommands(
    reachedFrom open: [(key: EventKey, entry: EventSourceEntry)],
    _ sensors: [SensorPlan],
    _ triggers: [TriggerPlan],
    _ manifests: [SensorManifest]
  ) {
    let programs = Set(triggerKinds.filter(\.runsPrograms).map(\.kind))
    let commands = Set(triggers.filter { programs.contains($0.kind) }.map(\.id))
    let reach = Reach(sensors, triggers)
    for (key, entry) in open {
      guard let command = reach.triggers(from: key).first(where: commands.contains) else {
        continue
      }
      // Where others share an installation their event source is not to blame for a new sensor.
      if namespaces != nil {
        refuse(command, reachedFrom: key, manifests)
        continue
      }
      report(
        entry.mark,
        entry.path,
        "anybody can send events here, and they reach the command \(command): give the event "
          + "source a secret, or say signalbox: {unauthenticated: true}"
      )
    }
  }

  private func checkFree(_ route: Route, _ routes: [Route], _ entry: EventSourceEntry) {
    if let why = refusedPorts[route.port] {
      report(entry.mark, entry.path, "port \(route.port) cannot be listened on: \(why)")
    }
    let isTaken = routes.contains {
      $0.port == route.port && $0.path == route.path && $0.method == route.method
    }
    if isTaken {
      report(
        entry.mark,
        entry.path,
        "port \(route.port) \(route.path) is served by another event source already"
      )
    }
  }

  private func dependency(_ manifest: DependencyManifest, _ sensor: SensorManifest) -> Dependency {
    var subject = manifest.eventName
    if manifest.eventSourceName == OutcomePhase.sourceName, sensor.namespace != "default" {
      subject = sensor.namespace + "/" + subject
    }
    return Dependency(
      name: manifest.name,
      key: EventKey(
        namespace: sensor.namespace,
        bus: sensor.bus,
        source: manifest.eventSourceName,
        subject: subject
      ),
      filters: manifest.filters.map(filter),
      transform: manifest.transform.flatMap(transform),
      fingerprint: nodeFingerprint(manifest.node)
    )
  }

  private func rule(_ manifest: TriggerManifest, _ id: TriggerID, _ names: [String]) -> TriggerRule?
  {
    guard !names.isEmpty else { return nil }
    let resets = manifest.conditionsReset.compactMap(cron)
    do throws(ConditionError) {
      var condition = Condition.all(count: names.count)
      if let text = manifest.conditions {
        condition = try Condition(text, names: names, mode: compat.mode(.conditionNames))
      }
      if condition.isPureOr, let reset = manifest.conditionsReset.first {
        let message = "has no effect: without '&&' no event waits for another"
        diagnostics.add(Diagnostic(.warning, reset.mark, field: reset.field, message))
      }
      let timing = timing(manifest.flow, condition, names)
      return TriggerRule(id: id, condition: condition, resets: resets, timing: timing)
    } catch {
      report(manifest.mark, manifest.path + ".template.conditions", "\(error)")
      return nil
    }
  }

  private func plan(
    _ manifest: TriggerManifest,
    _ id: TriggerID,
    _ sensor: SensorManifest,
    _ names: [String],
    _ transforms: [String: EventTransform]
  ) -> TriggerPlan? {
    guard let kind = triggerKinds.first(where: { $0.kind == manifest.kind }) else { return nil }
    let host = triggerHost(in: sensor.namespace)
    let spec = spec(of: manifest)
    checkMachine(kind, spec, manifest, sensor.namespace)
    let made = kind.make(spec, manifest.specPath, nil, host, diagnostics)
    let ignoresParameters =
      ["slack", "email"].contains(manifest.kind) && compat.keeps(.messageParameters)
    let parameters = (ignoresParameters ? [] : manifest.resourceParameters).compactMap {
      parameter($0, names) { $0 }(kind)
    }
    let template = manifest.triggerParameters.compactMap {
      parameter($0, names) { destination in
        let prefix = kind.kind + "."
        return destination.hasPrefix(prefix) ? String(destination.dropFirst(prefix.count)) : nil
      }(kind)
    }
    let payload = manifest.payload.compactMap { parameter($0, names, checks: false) { $0 }(kind) }
    guard let made else { return nil }
    let retry = manifest.retryStrategy.map {
      RetrySchedule(attempts: $0.steps, wait: $0.duration, factor: $0.factor, jitter: $0.jitter)
    }
    let path = manifest.specPath
    var plan = TriggerPlan(
      id: id,
      bus: sensor.bus,
      kind: manifest.kind,
      concurrency: kind.concurrency,
      generation: nodeFingerprint(manifest.templateNode),
      retry: compat.keeps(.retries) && !manifest.isAtLeastOnce ? .once : retry ?? .once,
      statusAllow: manifest.policyStatusAllow ?? anyStatus(manifest),
      trigger: made,
      fields: spec.json,
      templateParameters: template,
      parameters: parameters,
      parametersChangeObject: kind.parametersChangeObject,
      payload: payload,
      transforms: transforms,
      remake: { (fields) throws(ParameterError) in
        let problems = Diagnostics()
        let node = Node(fields, at: spec.mark)
        guard let trigger = kind.make(node, path, spec, host, problems) else {
          let words = problems.all.map { "\($0.field): \($0.message)" }
          throw ParameterError("the parameters do not fit: " + words.joined(separator: "; "))
        }
        return trigger
      }
    )
    plan.flow = flow(manifest.flow)
    if plan.flow.concurrency?.mode == .cancelOlder, !kind.isFollowed {
      let followed = triggerKinds.filter(\.isFollowed).map(\.kind).joined(separator: ", ")
      report(
        manifest.flow.mark,
        manifest.flow.path + ".concurrency.mode",
        "cancelOlder is not supported yet for \(kind.kind): expected one of \(followed)"
      )
    }
    plan.flow.isSuspended = manifest.flow.isSuspended || sensor.isSuspended
    plan.listsEvents = manifest.flow.batch != nil || manifest.flow.correlate?.mode == "all"
    return plan
  }

  /// The fields of the trigger, without what has no effect.
  private func spec(of manifest: TriggerManifest) -> Node {
    guard manifest.kind == "log", compat.keeps(.logInterval),
      case .mapping(let entries) = manifest.spec.value
    else { return manifest.spec }
    return Node(.mapping(entries.filter { $0.key != "intervalSeconds" }), manifest.spec.mark)
  }

  private func anyStatus(_ manifest: TriggerManifest) -> [Int]? {
    manifest.kind == "http" && compat.keeps(.httpStatus) ? Array(100...599) : nil
  }

  /// Compiles one parameter. `within` maps its destination to one below the trigger's kind.
  private func parameter(
    _ manifest: ParameterManifest,
    _ names: [String],
    checks: Bool = true,
    within: @escaping (String) -> String?
  ) -> (TriggerKind) -> Parameter? {
    { kind in
      // Over an object such a parameter may be a placeholder, which never resolves.
      if !names.contains(manifest.dependencyName) && !kind.parametersChangeObject {
        report(
          manifest.mark,
          manifest.path + ".src.dependencyName",
          "found '\(manifest.dependencyName)', expected one of \(names.joined(separator: ", "))"
        )
      }
      if checks {
        let refused =
          within(manifest.dest).map { kind.refusal($0) }
          ?? "is not supported yet: expected \(kind.kind).…"
        if let refused { report(manifest.mark, manifest.path + ".dest", refused) }
      }
      do throws(JSONPathError) {
        return Parameter(
          dependency: manifest.dependencyName,
          data: Parameter.Selector(
            key: try path(manifest.dataKey),
            template: template(manifest.dataTemplate, manifest, "dataTemplate")
          ),
          context: Parameter.Selector(
            key: try path(manifest.contextKey),
            template: template(manifest.contextTemplate, manifest, "contextTemplate")
          ),
          value: manifest.value,
          useRawData: manifest.useRawData,
          destination: manifest.dest.isEmpty ? nil : try JSONDestination(manifest.dest),
          operation: Parameter.Operation(rawValue: manifest.operation.rawValue) ?? .overwrite
        )
      } catch {
        report(manifest.mark, manifest.path, "\(error)")
        return nil
      }
    }
  }

  private func path(_ text: String?) throws(JSONPathError) -> JSONPath? {
    guard let text, !text.isEmpty else { return nil }
    return try JSONPath(text)
  }

  func report(_ mark: Mark, _ field: String, _ message: String) {
    diagnostics.add(Diagnostic(.error, mark, field: field, message))
  }
}

func nodeFingerprint(_ node: Node) -> String {
  hexadecimal(SHA256.digest(node.json.encoded()).prefix(8))
}
