package import JSON

/// What an Application says about an operation of ours (spec section C.5).
package struct ApplicationState: Sendable {
  /// The key of the entry of `operation.info` that holds a firing's id.
  package static let infoName = "signalbox-firing"

  package let object: JSON
  private var state: JSON? { object.at("status", "operationState") }

  package init(_ object: JSON) { self.object = object }

  package var name: String { object.at("metadata", "name")?.asString ?? "" }
  package var resourceVersion: String { object.at("metadata", "resourceVersion")?.asString ?? "" }
  package var isDeleted: Bool { object.at("metadata", "deletionTimestamp") != nil }

  private static func has(_ operation: JSON?, _ id: String) -> Bool {
    (operation?["info"]?.items ?? []).contains {
      $0["name"] == .string(infoName) && $0["value"] == .string(id)
    }
  }

  /// Our operation waits to be picked up.
  package func isRequested(_ id: String) -> Bool { Self.has(object["operation"], id) }

  /// Our operation is, or was, the one under way: a state of somebody else's may still be there.
  package func isMine(_ id: String) -> Bool { Self.has(state?["operation"], id) }

  package var phase: String { state?["phase"]?.asString ?? "" }
  package var message: String { state?["message"]?.asString ?? "" }
  package var startedAt: String { state?["startedAt"]?.asString ?? "" }
  package var finishedAt: String { state?["finishedAt"]?.asString ?? "" }

  /// Whether an operation is requested or runs. `Running` with a time of its end waits for a retry.
  package var isBusy: Bool {
    object["operation"] != nil || phase == "Running" || phase == "Terminating"
  }

  /// Whether our operation has ended and the application was compared since (both in seconds).
  package func isOver(_ id: String) -> Bool {
    guard isMine(id), !isBusy, !finishedAt.isEmpty else { return false }
    return state?.at("operation", "sync", "dryRun") == true || isReconciled
  }

  private var isReconciled: Bool {
    guard let compared = secondsSince1970(object.at("status", "reconciledAt")?.asString ?? ""),
      let finished = secondsSince1970(finishedAt)
    else { return false }
    return compared >= finished
  }

  package var isDryRun: Bool { state?.at("operation", "sync", "dryRun") == true }
  package var health: String { object.at("status", "health", "status")?.asString ?? "" }
  package var sync: String { object.at("status", "sync", "status")?.asString ?? "" }

  /// Whether what was applied is what the application is compared with.
  package var isSynced: Bool {
    let applied = state?.at("syncResult", "revision")
    let revision = object.at("status", "sync", "revision")
    return sync == "Synced" && (applied == nil || applied == revision)
  }

  /// A sync window keeps it from running; that may last for ever (section C.5).
  package var isBlockedByWindow: Bool { message.contains("blocked by sync window") }

  /// Waits for a retry of its own.
  package var isRetrying: Bool { phase == "Running" && !finishedAt.isEmpty }

  package var refresh: String? {
    object.at("metadata", "annotations", "argocd.argoproj.io/refresh")?.asString
  }
  package var reconciledAt: String { object.at("status", "reconciledAt")?.asString ?? "" }
  package var isAutomated: Bool {
    object.at("spec", "syncPolicy", "automated") != nil
      && object.at("spec", "syncPolicy", "automated", "enabled") != false
  }
  package var syncOptions: [JSON] { object.at("spec", "syncPolicy", "syncOptions")?.items ?? [] }
  package var retry: JSON? { object.at("spec", "syncPolicy", "retry") }
  package var history: [JSON] { object.at("status", "history")?.items ?? [] }

  /// What an outcome tells about it.
  package var result: JSON {
    var result: JSON = [
      "kind": "Application", "namespace": object.at("metadata", "namespace") ?? "",
      "name": .string(name), "phase": .string(phase), "message": .string(message),
      "health": .string(health), "sync": .string(sync), "startedAt": .string(startedAt),
      "finishedAt": .string(finishedAt),
    ]
    if let revision = state?.at("syncResult", "revision") ?? object.at("status", "sync", "revision")
    {
      result.set(revision, at: "revision")
    }
    if let images = object.at("status", "summary", "images") { result.set(images, at: "images") }
    if let urls = object.at("status", "summary", "externalURLs") {
      result.set(urls, at: "links")
    }
    if let start = secondsSince1970(startedAt), let end = secondsSince1970(finishedAt) {
      result.set(JSON(Int(end - start)), at: "durationSeconds")
    }
    if let retries = state?["retryCount"] { result.set(retries, at: "retries") }
    let failed = failedResources
    if !failed.isEmpty { result.set(.array(failed), at: "failedResources") }
    return result
  }

  /// What could not be applied, and hooks that failed.
  private var failedResources: [JSON] {
    let all = state?.at("syncResult", "resources")?.items ?? []
    return all.filter { resource in
      resource["status"] == "SyncFailed" || resource["hookPhase"] == "Failed"
        || resource["hookPhase"] == "Error"
    }.prefix(20).map { resource in
      var short = JSON.object([])
      for key in ["kind", "namespace", "name", "message", "hookPhase"] {
        if let value = resource[key] { short.set(value, at: key) }
      }
      return short
    }
  }
}
