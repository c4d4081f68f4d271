package import JSON

/// Workflows made from what is there already, as argo-server makes them (spec section B.4).
package enum WorkflowBuilder {
  private static let prefix = "workflows.argoproj.io/"

  /// A run of a WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow.
  /// - Parameter source: the object itself; a template's spec is referred to, not copied.
  /// - Parameter time: RFC 3339, for runs of a CronWorkflow.
  package static func run(of source: JSON, kind: String, time: String) throws(ClusterError) -> JSON
  {
    let name = source.at("metadata", "name")?.asString ?? ""
    var workflow: JSON = [
      "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
      "metadata": ["generateName": .string(name + "-")],
    ]
    switch kind {
    case "WorkflowTemplate":
      workflow.set(.string(name), at: "metadata", "labels", prefix + "workflow-template")
      workflow.set(["name": .string(name)], at: "spec", "workflowTemplateRef")
    case "ClusterWorkflowTemplate":
      workflow.set(.string(name), at: "metadata", "labels", prefix + "cluster-workflow-template")
      workflow.set(
        ["name": .string(name), "clusterScope": true],
        at: "spec",
        "workflowTemplateRef"
      )
    case "CronWorkflow":
      workflow.set(source.at("spec", "workflowSpec") ?? [:], at: "spec")
      workflow.set(.string(name), at: "metadata", "labels", prefix + "cron-workflow")
      let instance = prefix + "controller-instanceid"
      if let value = source.at("metadata", "labels", instance) {
        workflow.set(value, at: "metadata", "labels", instance)
      }
      for key in ["labels", "annotations"] {
        for member in source.at("spec", "workflowMetadata", key)?.members ?? [] {
          workflow.set(member.value, at: "metadata", key, member.key)
        }
      }
      workflow.set(.string(time), at: "metadata", "annotations", prefix + "scheduled-time")
      // Deleting the CronWorkflow deletes its runs.
      workflow.set(
        [
          [
            "apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "name": .string(name),
            "uid": source.at("metadata", "uid") ?? "", "controller": true,
            "blockOwnerDeletion": true,
          ]
        ],
        at: "metadata",
        "ownerReferences"
      )
    default:
      throw ClusterError(
        .configuration,
        "found kind \(kind), expected WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow"
      )
    }
    return workflow
  }

  /// A new run of what an old one did; its template reference is resolved anew.
  package static func resubmission(of old: JSON) -> JSON {
    let name = old.at("metadata", "name")?.asString ?? ""
    let base = old.at("metadata", "generateName")?.asString ?? name + "-"
    var workflow: JSON = [
      "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
      "metadata": ["generateName": .string(base)], "spec": old["spec"] ?? [:],
    ]
    workflow.set(nil, at: "spec", "shutdown")
    let left: Set<String> = ["phase", "completed", "workflow-archiving-status"]
    for label in old.at("metadata", "labels")?.members ?? [] {
      let own = label.key.hasPrefix(prefix) ? String(label.key.dropFirst(prefix.count)) : ""
      if left.contains(own) || own.hasPrefix("creator") { continue }
      workflow.set(label.value, at: "metadata", "labels", label.key)
    }
    for key in ["annotations", "ownerReferences"] {
      if let value = old.at("metadata", key) { workflow.set(value, at: "metadata", key) }
    }
    workflow.set(.string(name), at: "metadata", "labels", prefix + "resubmitted-from-workflow")
    return workflow
  }

  /// Sets parameters: these first, what was there and is not named again after (section B.4).
  /// Values are strings whatever they look like (section A.7).
  package static func set(_ parameters: [(name: String, value: String)], in workflow: inout JSON) {
    guard !parameters.isEmpty else { return }
    let names = Set(parameters.map(\.name))
    let old = (workflow.at("spec", "arguments", "parameters")?.items ?? []).filter {
      !names.contains($0["name"]?.asString ?? "")
    }
    let new = parameters.map { parameter -> JSON in
      ["name": .string(parameter.name), "value": .string(parameter.value)]
    }
    workflow.set(.array(new + old), at: "spec", "arguments", "parameters")
  }

  /// Numbers and booleans of parameters as strings: the full CRD takes nothing else (section A.7).
  package static func spellParameters(in workflow: inout JSON) {
    guard let parameters = workflow.at("spec", "arguments", "parameters")?.items,
      !parameters.isEmpty
    else { return }
    let spelled = parameters.map { parameter -> JSON in
      var parameter = parameter
      for key in ["value", "default"] {
        switch parameter[key] {
        case .number(let text)?: parameter.set(.string(text), at: key)
        case .bool(let value)?: parameter.set(.string(value ? "true" : "false"), at: key)
        case .array(let items)?: parameter.set(.string(JSON.array(items).text), at: key)
        case .object(let members)?: parameter.set(.string(JSON.object(members).text), at: key)
        default: break
        }
      }
      return parameter
    }
    workflow.set(.array(spelled), at: "spec", "arguments", "parameters")
  }

  /// What TTL its run is sure to outlive, in seconds from its creation; nil: it names none.
  package static func shortestTTL(of workflow: JSON) -> Int? {
    let strategy = workflow.at("spec", "ttlStrategy")
    return ["secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure"]
      .compactMap { strategy?[$0]?.wholeNumber }.min()
  }
}
