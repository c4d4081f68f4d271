package import JSON

/// What a Workflow object says about its run (spec section B.2).
package struct WorkflowState: Sendable {
  /// What restarts it in place, and when: a `retry` moves the same object back to running.
  package let uid: String
  package let startedAt: String
  package let finishedAt: String
  package let phase: String
  package let message: String
  package let progress: String
  private let object: JSON
  /// By their ids. Of a run that is over also those that stand compressed in the object; while it
  /// runs they are not opened, as each step changes them.
  private let nodes: [JSON.Member]

  package init(_ object: JSON) {
    self.object = object
    let inline = object.at("status", "nodes")?.members ?? []
    let isOver = object.at("status", "finishedAt")?.asString?.isEmpty == false
    nodes = inline.isEmpty && isOver ? Self.compressedNodes(object) : inline
    uid = object.at("metadata", "uid")?.asString ?? ""
    func text(_ key: String) -> String { object.at("status", key)?.asString ?? "" }
    startedAt = text("startedAt")
    finishedAt = text("finishedAt")
    phase = text("phase")
    message = text("message")
    progress = text("progress")
  }

  /// The terminal test of section B.2: not the phase, which single nodes reach long before.
  package var isOver: Bool { !finishedAt.isEmpty }

  /// Tells this end from that after a retry, which moves the same object back to running. Both times
  /// have a resolution of a second, so neither does alone.
  package var span: String { "\(startedAt) \(finishedAt)" }

  package var isSucceeded: Bool { isOver && phase == "Succeeded" }

  package var isSuspended: Bool { object.at("spec", "suspend") == true }

  package var isShutDown: Bool {
    object.at("spec", "shutdown")?.asString.map { !$0.isEmpty } ?? false
  }

  /// More bytes of nodes are not opened; the object holds at most 1 MiB of compressed ones.
  private static let nodesBytesMax = 64 << 20

  /// Empty where there are none, or they are not compressed with gzip (section B.2: zstd, brotli).
  private static func compressedNodes(_ object: JSON) -> [JSON.Member] {
    guard let text = object.at("status", "compressedNodes")?.asString,
      let bytes = Base64.decode(Array(text.utf8)[...]),
      let opened = try? Gzip.opened(bytes, limit: nodesBytesMax),
      let nodes = try? JSON(parsing: opened)
    else { return [] }
    return nodes.members
  }

  /// Whether only argo-server can tell about its nodes.
  package var hasDistantNodes: Bool {
    let status = object["status"]
    return nodes.isEmpty
      && (status?["compressedNodes"]?.asString?.isEmpty == false
        || status?["offloadNodeStatusVersion"]?.asString?.isEmpty == false)
  }

  /// Waiting for somebody: nodes of type Suspend that run.
  package var waitingNodes: [String] {
    nodes.compactMap { node in
      node.value["type"] == "Suspend" && node.value["phase"] == "Running" ? node.key : nil
    }
  }

  /// What an outcome tells about it.
  package var result: JSON {
    var result: JSON = [
      "kind": "Workflow", "namespace": object.at("metadata", "namespace") ?? "",
      "name": object.at("metadata", "name") ?? "", "uid": .string(uid), "phase": .string(phase),
      "message": .string(message), "startedAt": .string(startedAt),
      "finishedAt": .string(finishedAt),
    ]
    if !progress.isEmpty { result.set(.string(progress), at: "progress") }
    if let start = secondsSince1970(startedAt), let end = secondsSince1970(finishedAt) {
      result.set(JSON(Int(end - start)), at: "durationSeconds")
    }
    let outputs = self.outputs
    if !outputs.isEmpty { result.set(.object(outputs), at: "outputs") }
    if let node = failedNode { result.set(node, at: "failedNode") }
    if hasDistantNodes { result.set(true, at: "nodesOffloaded") }
    return result
  }

  /// Global outputs, and those of the entrypoint: its node has the workflow's name.
  private var outputs: [JSON.Member] {
    let name = object.at("metadata", "name")?.asString ?? ""
    let lists = [
      nodes.first { $0.key == name }?.value.at("outputs", "parameters"),
      object.at("status", "outputs", "parameters"),
    ]
    var found: [JSON.Member] = []
    for parameter in lists.flatMap({ $0?.items ?? [] }) {
      guard let key = parameter["name"]?.asString, let value = parameter["value"] else { continue }
      found.removeAll { $0.key == key }
      found.append(.init(key: key, value: value))
    }
    return found
  }

  /// The leaf that failed first.
  private var failedNode: JSON? {
    let leaves: Set<String> = ["Pod", "Container", "HTTP", "Plugin", "Suspend", "Skipped"]
    let failed = nodes.map(\.value).filter { node in
      let phase = node["phase"]?.asString ?? ""
      return (phase == "Failed" || phase == "Error")
        && leaves.contains(node["type"]?.asString ?? "")
    }
    let first = failed.min {
      ($0["finishedAt"]?.asString ?? "~") < ($1["finishedAt"]?.asString ?? "~")
    }
    guard let first else { return Optional.none }
    var node = JSON.object([])
    for key in ["id", "displayName", "templateName", "phase", "message"] {
      if let value = first[key] { node.set(value, at: key) }
    }
    if let code = first.at("outputs", "exitCode") { node.set(code, at: "exitCode") }
    return node
  }
}
