import JSON

/// One trigger of a sensor (spec section 4.1).
package struct TriggerManifest: Sendable {
  package let name: String
  /// The expression over dependency names; nil: all of the sensor's, joined by `&&`.
  package let conditions: String?
  /// When the events that wait for others are let go.
  package let conditionsReset: [ConditionsResetManifest]
  /// The key in the template that says what to do, such as `http`.
  package let kind: String
  /// The block under that key, `payload` and `parameters` included.
  package let spec: Node
  package let specPath: String
  /// The whole template, which `triggerParameters` apply to.
  package let templateNode: Node
  /// `payload` of the kind's block; empty: the kind decides what to send.
  package let payload: [ParameterManifest]
  /// `parameters` of the kind's block: they change the fields of that block.
  package let resourceParameters: [ParameterManifest]
  /// `parameters` beside the template: they change the fields of the template.
  package let triggerParameters: [ParameterManifest]
  /// nil: one attempt.
  package let retryStrategy: RetryManifest?
  /// `atLeastOnce`, beside the template or inside it.
  package let isAtLeastOnce: Bool
  /// `policy.status.allow`.
  package let policyStatusAllow: [Int]?
  /// `dlqTrigger`: fires when this one has failed for good (spec section 4.7); at most one.
  package let deadLetterTrigger: [TriggerManifest]
  package let flow: FlowManifest
  package let mark: Mark
  package let path: String
}

/// One item of `conditionsReset` (spec section 3.8).
package struct ConditionsResetManifest: Sendable {
  package let cron: String
  /// A name of the time zone database; empty is UTC.
  package let timezone: String
  package let mark: Mark
  /// The path of `byTime` from the document's root.
  package let field: String
}

/// A backoff (spec section 2.2).
package struct RetryManifest: Sendable, Equatable {
  /// Attempts in all; at least 1.
  package let steps: Int
  /// Before the second attempt.
  package let duration: Duration
  /// Each later wait is that many times the one before.
  package let factor: Double
  /// Up to this part of a wait is added to it at random.
  package let jitter: Double

  package init(steps: Int, duration: Duration, factor: Double, jitter: Double) {
    precondition(steps >= 1, "a backoff has at least one attempt")
    self.steps = steps
    self.duration = duration
    self.factor = factor
    self.jitter = jitter
  }
}

/// One item of `parameters` or `payload` (spec section 4.2).
package struct ParameterManifest: Sendable {
  package enum Operation: String, Sendable { case overwrite, append, prepend }

  package let dependencyName: String
  package let dataKey: String?
  package let contextKey: String?
  package let dataTemplate: String?
  package let contextTemplate: String?
  package let value: String?
  package let useRawData: Bool
  /// Empty only in a payload, where the value then is the whole of it.
  package let dest: String
  package let operation: Operation
  package let mark: Mark
  package let path: String
}

extension ParameterManifest {
  /// A dynamic header as a parameter: its destination is the header's name.
  var asHeader: ParameterManifest {
    ParameterManifest(
      dependencyName: dependencyName,
      dataKey: dataKey,
      contextKey: contextKey,
      dataTemplate: dataTemplate,
      contextTemplate: contextTemplate,
      value: value,
      useRawData: false,
      dest: "headers." + dest.replacing(".", with: "\\."),
      operation: operation,
      mark: mark,
      path: path
    )
  }
}

/// The names under which Argo Events knows its triggers, and ours (spec section 4.4).
let knownTriggerKinds = [
  "k8s", "argoWorkflow", "http", "awsLambda", "azureEventHubs", "azureServiceBus", "kafka",
  "pulsar", "nats", "slack", "openWhisk", "custom", "log", "email", "command", "argoCD",
  "argoRollout", "commitStatus",
]

extension DocumentReader {
  func trigger(_ block: Block, _ dependencies: [DependencyManifest]) -> TriggerManifest {
    let names = dependencies.map(\.name)
    let template = block.block("template")
    if template == nil { block.error("template", "found nothing, expected a mapping") }
    let triggerParameters = parameters(block, "parameters", names)
    let retry = block.block("retryStrategy").map(backoff)
    let policy = policy(block)
    let isAtLeastOnce = delivery(block)
    let rate = block.block("rateLimit").flatMap(rateLimit)
    let last = block.block("dlqTrigger").map { deadLetterTrigger($0, dependencies) }
    var flow = flow(block, names)
    flow.rate = rate
    block.finish()

    let name = template?.requiredString("name") ?? ""
    if let template, !name.isEmpty { checkTriggerName(name, template) }
    let conditions = template?.string("conditions")
    let resets = template?.blocks("conditionsReset").compactMap(conditionsReset) ?? []
    let isInside = template.map(delivery) ?? false
    let chosen: (kind: String, block: Block?) = template.map(kind) ?? ("", nil)
    let templatePolicy = template.flatMap(self.policy)
    let payload = chosen.block.map { parameters($0, "payload", names) } ?? []
    var resourceParameters = chosen.block.map { parameters($0, "parameters", names) } ?? []
    if chosen.kind == "http", let block = chosen.block {
      resourceParameters += parameters(block, "dynamicHeaders", names).map(\.asHeader)
    }
    template?.finish()
    let nothing = Node(.mapping([]), block.mark)
    let labels = policy?.labels ?? templatePolicy?.labels
    return TriggerManifest(
      name: name,
      conditions: conditions.flatMap { $0.isEmpty ? nil : $0 },
      conditionsReset: resets,
      kind: chosen.kind,
      spec: chosen.block.map { withLabels($0.node, labels, chosen.kind) } ?? nothing,
      specPath: chosen.block?.path ?? block.path,
      templateNode: template?.node ?? nothing,
      payload: payload,
      resourceParameters: resourceParameters,
      triggerParameters: triggerParameters,
      retryStrategy: retry,
      isAtLeastOnce: isAtLeastOnce || isInside,
      policyStatusAllow: policy?.statusAllow ?? templatePolicy?.statusAllow,
      deadLetterTrigger: last.map { [$0] } ?? [],
      flow: flow,
      mark: template?.mark ?? block.mark,
      path: block.path
    )
  }

  private func deadLetterTrigger(
    _ block: Block,
    _ dependencies: [DependencyManifest]
  ) -> TriggerManifest {
    let template = block.node("template").map {
      Block($0, path: block.child("template"), Diagnostics())
    }
    for key in ["conditions", "conditionsReset"] where template?.contains(key) == true {
      block.report(
        .info,
        "template",
        "\(key) has no effect in a dlqTrigger, here as in Argo Events"
      )
    }
    for key in ["rateLimit", "dlqTrigger"] where block.contains(key) {
      block.report(.info, key, "has no effect in a dlqTrigger, here as in Argo Events")
    }
    return trigger(block, dependencies)
  }

  private func conditionsReset(_ block: Block) -> ConditionsResetManifest? {
    let time = block.block("byTime")
    if time == nil { block.error("byTime", "found nothing, expected a mapping with cron") }
    block.finish()
    guard let time else { return nil }
    let cron = time.requiredString("cron")
    let timezone = time.string("timezone") ?? ""
    time.finish()
    if cron.isEmpty { return nil }
    return ConditionsResetManifest(
      cron: cron,
      timezone: timezone,
      mark: time.mark,
      field: time.path
    )
  }

  /// `atLeastOnce`, which published examples write beside the template or inside it.
  private func delivery(_ block: Block) -> Bool {
    guard let word = block.bool("atLeastOnce") else { return false }
    if !word {
      block.report(.info, "atLeastOnce", "has no effect: a trigger always fires at least once")
    }
    return word
  }

  private func checkTriggerName(_ name: String, _ template: Block) {
    checkName(name, template.mark(of: "name"), template.child("name"))
    if name.contains("/") {
      template.error("name", "found '\(name)', expected a name without '/': outcomes use it")
    }
  }

  /// The one kind that a template names.
  private func kind(of template: Block) -> (kind: String, block: Block?) {
    let known = knownTriggerKinds + triggerKinds.subtracting(knownTriggerKinds).sorted()
    // Asked by presence, not by value: `log: {}` is a trigger, `log:` alone is not.
    let found = known.filter { template.contains($0) }
    guard let kind = found.first else {
      if let (written, kind) = unbuiltKind(template, known) {
        template.error(written, "is not supported yet; its name is '\(kind)'")
        return ("", nil)
      }
      let built = triggerKinds.sorted().joined(separator: ", ")
      template.error(nil, "found no trigger kind, expected one of \(built)")
      return ("", nil)
    }
    if found.count > 1 {
      template.error(
        found[1],
        "found the kinds \(found.joined(separator: ", ")), expected one of them"
      )
    }
    for kind in found where !triggerKinds.contains(kind) {
      template.notSupportedYet(kind)
      guard let node = template.node(kind) else { continue }
      KnownFields.triggers[kind]?.check(node, path: template.child(kind), diagnostics)
    }
    return (kind, triggerKinds.contains(kind) ? template.block(kind) : nil)
  }

  /// A kind that is not built and not spelt as it should be: `openwhisk`.
  private func unbuiltKind(_ template: Block, _ known: [String]) -> (written: String, String)? {
    guard case .mapping(let entries) = template.node.value else { return nil }
    for kind in known where !triggerKinds.contains(kind) {
      let found = entries.first { $0.key != kind && $0.key.lowercased() == kind.lowercased() }
      guard let found, template.contains(found.key) else { continue }
      return (found.key, kind)
    }
    return nil
  }

  private func backoff(_ block: Block) -> RetryManifest {
    let steps = block.integer("steps", in: 0...10_000) ?? 0
    let duration = block.duration("duration") ?? .seconds(1)
    let factor = nonNegative(block, "factor") ?? 1
    let jitter = nonNegative(block, "jitter") ?? 1
    block.finish()
    return RetryManifest(
      steps: steps == 0 ? 5 : steps,
      duration: duration,
      factor: factor,
      jitter: jitter
    )
  }

  private func nonNegative(_ block: Block, _ key: String) -> Double? {
    guard let number = block.number(key) else { return nil }
    if number < 0 { block.error(key, "found \(number), expected a number that is not negative") }
    return number
  }

  private struct Policy {
    let statusAllow: [Int]?
    /// `policy.k8s`.
    let labels: Node.Entry?
  }

  /// `policy`, which published examples write beside the template or inside it.
  private func policy(_ block: Block) -> Policy? {
    guard let policy = block.block("policy") else { return nil }
    let labels = policy.block("k8s").map(labelPolicy)
    var allow: [Int]?
    if let status = policy.block("status") {
      let codes = (status.list("allow") ?? []).enumerated().compactMap { index, node -> Int? in
        if case .number(let text) = node.value, let code = Int(text), (100...599).contains(code) {
          return code
        }
        status.error(
          "allow[\(index)]",
          "found \(node.kindName), expected a status from 100 to 599"
        )
        return nil
      }
      if codes.isEmpty, status.list("allow")?.isEmpty ?? true {
        status.error("allow", "found nothing, expected at least one status")
      }
      allow = codes
      status.finish()
    }
    policy.finish()
    return Policy(statusAllow: allow, labels: labels)
  }

  /// The key under which the kinds that make objects find the labels to wait for.
  package static let labelsKey = "policy.k8s"

  /// Labels that an object must get before its trigger has succeeded, and how long that may take
  /// (spec section 4.8).
  private func labelPolicy(_ block: Block) -> Node.Entry {
    let labels = block.stringMap("labels") ?? []
    if labels.isEmpty { block.error("labels", "found nothing, expected at least one label") }
    let backoff =
      block.block("backoff").map(backoff)
      ?? RetryManifest(steps: 5, duration: .seconds(1), factor: 1, jitter: 0)
    let fails = block.bool("errorOnBackoffTimeout") ?? false
    block.finish()
    var (wait, total) = (backoff.duration, Duration.zero)
    for _ in 0..<backoff.steps where total < .seconds(86400) {
      total += wait
      wait = min(wait * backoff.factor, .seconds(86400))
    }
    let json: JSON = [
      "labels": .object(labels.map { JSON.Member(key: $0.key, value: .string($0.value)) }),
      "timeout": .string("\(min(total, .seconds(86400)).components.seconds)s"),
      "fails": .bool(fails),
    ]
    return Node.Entry(
      key: Self.labelsKey,
      mark: block.mark,
      node: Node(json, at: block.mark)
    )
  }

  private func withLabels(_ spec: Node, _ labels: Node.Entry?, _ kind: String) -> Node {
    guard let labels, !kind.isEmpty, case .mapping(let entries) = spec.value else { return spec }
    guard kind == "k8s" || kind == "argoWorkflow" else {
      diagnostics.add(
        Diagnostic(.info, labels.mark, field: "policy.k8s", "has no effect on \(kind)")
      )
      return spec
    }
    return Node(.mapping(entries + [labels]), spec.mark)
  }

  private func parameters(_ block: Block, _ key: String, _ names: [String]) -> [ParameterManifest] {
    block.blocks(key).map { parameter($0, isPayload: key == "payload", names) }
  }

  private func parameter(
    _ block: Block,
    isPayload: Bool,
    _ names: [String]
  ) -> ParameterManifest {
    let source = block.block("src")
    if source == nil { block.error("src", "found nothing, expected a mapping") }
    let dependency = source?.requiredString("dependencyName") ?? ""
    if let source, !dependency.isEmpty, !names.contains(dependency) {
      let hint = nearestName(to: dependency, in: names).map { "; did you mean '\($0)'?" } ?? ""
      source.warning(
        "dependencyName",
        "found '\(dependency)', which is no dependency of this sensor\(hint)"
      )
    }
    let dataKey = source?.string("dataKey")
    let contextKey = source?.string("contextKey")
    let value = source?.string("value")
    let useRawData = source?.bool("useRawData") ?? false
    let dataTemplate = source?.string("dataTemplate")
    let contextTemplate = source?.string("contextTemplate")
    source?.finish()
    let dest = isPayload ? block.string("dest") ?? "" : block.requiredString("dest")
    let operation = block.string("operation") ?? ""
    let known = ParameterManifest.Operation(rawValue: operation)
    if known == nil, !operation.isEmpty {
      block.error(
        "operation",
        "found '\(operation)', expected one of append, overwrite, prepend"
      )
    }
    block.finish()
    func filled(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }
    return ParameterManifest(
      dependencyName: dependency,
      dataKey: filled(dataKey),
      contextKey: filled(contextKey),
      dataTemplate: filled(dataTemplate),
      contextTemplate: filled(contextTemplate),
      value: value,
      useRawData: useRawData,
      dest: dest,
      operation: known ?? .overwrite,
      mark: block.mark,
      path: block.path
    )
  }
}
