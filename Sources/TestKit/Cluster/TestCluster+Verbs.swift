import HTTP
import JSON
import Posix

extension TestCluster {
  // MARK: Discovery (section A.10)

  func discovery(_ path: String) -> JSON? {
    switch path {
    case "/healthz", "/readyz", "/livez": return "ok"
    case "/version": return ["major": "1", "minor": "32", "gitVersion": "v1.32.0"]
    case "/api": return ["kind": "APIVersions", "versions": ["v1"]]
    case "/apis":
      let groups = Set(kinds.map(\.group)).subtracting([""]).sorted()
      return [
        "kind": "APIGroupList", "apiVersion": "v1",
        "groups": .array(
          groups.map { group in
            let version = kinds.first { $0.group == group }?.version ?? ""
            let entry: JSON = [
              "groupVersion": .string("\(group)/\(version)"), "version": .string(version),
            ]
            return ["name": .string(group), "versions": [entry], "preferredVersion": entry]
          }
        ),
      ]
    default:
      let found = kinds.filter { $0.groupPath == path }
      if found.isEmpty { return Optional.none }
      return resources(found)
    }
  }

  private func resources(_ found: [APIKind]) -> JSON {
    var entries: [JSON] = []
    for kind in found {
      let entry: JSON = [
        "name": .string(kind.plural), "singularName": .string(kind.singular),
        "namespaced": .bool(kind.isNamespaced), "kind": .string(kind.kind),
        "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        "shortNames": .array(kind.shortNames.map(JSON.string)),
      ]
      entries.append(entry)
      if kind.hasStatus {
        entries.append([
          "name": .string(kind.plural + "/status"), "singularName": "",
          "namespaced": .bool(kind.isNamespaced), "kind": .string(kind.kind),
          "verbs": ["get", "patch", "update"],
        ])
      }
    }
    return [
      "kind": "APIResourceList", "apiVersion": "v1",
      "groupVersion": .string(found[0].apiVersion), "resources": .array(entries),
    ]
  }

  // MARK: Verbs (section A.3)

  func serve(_ call: APIRequest) throws(APIFailure) -> Response {
    if let subresource = call.subresource {
      // The quick map: without the subresource that is a 404.
      guard subresource == "status", call.kind.hasStatus else { throw .noSuchResource }
    }
    let namespace = call.namespace ?? ""
    switch (call.method, call.name) {
    case ("GET", nil):
      return call.query["watch"].map { $0 == "1" || $0 == "true" } == true
        ? try watch(call) : .json(200, try list(call).encoded())
    case ("GET", let name?):
      return .json(200, try store.get(call.kind, namespace, name).encoded())
    case ("POST", nil):
      let object = try store.create(call.kind, namespace, try call.json(), call.options)
      return .json(201, object.encoded())
    case ("PUT", let name?):
      let object = try store.replace(call.kind, namespace, name, try call.json(), call.options)
      return .json(200, object.encoded())
    case ("PATCH", let name?): return try patch(call, namespace, name)
    case ("DELETE", let name?):
      let answer = try store.delete(call.kind, namespace, name, try call.json(), call.options)
      return .json(200, answer.encoded())
    default:
      throw APIFailure(
        code: 405,
        reason: "MethodNotAllowed",
        message: "the server does not allow this method on the requested resource"
      )
    }
  }

  private func patch(
    _ call: APIRequest,
    _ namespace: String,
    _ name: String
  ) throws(APIFailure) -> Response {
    let body = try call.json()
    let object: JSON
    switch call.contentType.split(separator: ";").first.map(String.init) ?? "" {
    case "application/merge-patch+json":
      object = try store.patch(call.kind, namespace, name, call.options) { $0.merged(with: body) }
    case "application/json-patch+json":
      object = try store.patch(call.kind, namespace, name, call.options) {
        (old) throws(APIFailure) in
        try JSONPatch.applied(body, to: old)
      }
    case "application/strategic-merge-patch+json" where call.kind.isBuiltIn:
      object = try store.patch(call.kind, namespace, name, call.options) {
        strategicallyMerged($0, body)
      }
    case "application/apply-patch+yaml":
      guard call.query["fieldManager"] != nil else {
        throw .bad("fieldManager is required for apply patch")
      }
      object = try store.apply(call.kind, namespace, name, body, call.options)
    default:
      throw APIFailure(
        code: 415,
        reason: "UnsupportedMediaType",
        message: "the body of the request was in an unknown format"
      )
    }
    return .json(200, object.encoded())
  }

  // MARK: Lists and watches (section A.5)

  private func selectors(
    _ call: APIRequest
  ) throws(APIFailure) -> (labels: LabelSelector?, fields: FieldSelector?) {
    var labels: LabelSelector?
    if let text = call.query["labelSelector"], !text.isEmpty { labels = try LabelSelector(text) }
    var fields: FieldSelector?
    if let text = call.query["fieldSelector"], !text.isEmpty { fields = try FieldSelector(text) }
    return (labels, fields)
  }

  private func list(_ call: APIRequest) throws(APIFailure) -> JSON {
    let (labels, fields) = try selectors(call)
    var (objects, revision) = store.all(call.kind, call.namespace)
    if call.query["resourceVersionMatch"] == "Exact" {
      guard let wanted = call.query["resourceVersion"].flatMap({ Int($0) }) else {
        throw .bad("resourceVersionMatch needs a resourceVersion")
      }
      (objects, revision) = (try store.all(call.kind, call.namespace, at: wanted), wanted)
    }
    objects = objects.filter {
      (labels?.matches($0) ?? true) && (fields?.matches($0) ?? true)
    }
    func place(_ object: JSON) -> String {
      (object.at("metadata", "namespace")?.asString ?? "") + "/"
        + (object.at("metadata", "name")?.asString ?? "")
    }
    if let token = call.query["continue"], !token.isEmpty {
      let parts = token.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, let started = Int(parts[0]) else {
        throw .bad("a bad continue token")
      }
      // A continuation can expire.
      guard started >= store.compacted else { throw .expired }
      revision = started
      objects = objects.filter { place($0) > parts[1] }
    }
    var metadata: JSON = ["resourceVersion": .string(String(revision))]
    if let limit = call.query["limit"].flatMap({ Int($0) }), limit > 0, objects.count > limit {
      metadata.set(JSON(objects.count - limit), at: "remainingItemCount")
      objects = Array(objects.prefix(limit))
      metadata.set(.string("\(revision):\(place(objects[limit - 1]))"), at: "continue")
    }
    return [
      "kind": .string(call.kind.kind + "List"), "apiVersion": .string(call.kind.apiVersion),
      "metadata": metadata,
      "items": .array(
        objects.map { object in
          guard call.kind.isBuiltIn else { return object }
          // Section A.3: items of built-in lists carry neither.
          var bare = object
          bare.set(nil, at: "apiVersion")
          bare.set(nil, at: "kind")
          return bare
        }
      ),
    ]
  }

  private func watch(_ call: APIRequest) throws(APIFailure) -> Response {
    let (labels, fields) = try selectors(call)
    let text = call.query["resourceVersion"] ?? ""
    let version = Int(text)
    if version == nil && !text.isEmpty { throw .bad("a bad resourceVersion") }
    let number = Number()
    let stream = ResponseStream(limit: 256 << 20) { [weak self] in
      if let known = number.value { self?.store.unwatch(known) }
    }
    let watcher = Watcher(
      kind: call.kind.key,
      namespace: call.kind.isNamespaced ? call.namespace : nil,
      labels: labels,
      fields: fields,
      stream: stream,
      wantsBookmarks: call.query["allowWatchBookmarks"] == "true"
    )
    do throws(APIFailure) {
      number.value = try store.watch(watcher, from: version)
    } catch {
      // Both forms of 410.
      guard error.code == 410, gone == .event else { throw error }
      watcher.send("ERROR", error.status)
      stream.finish()
    }
    if let seconds = call.query["timeoutSeconds"].flatMap({ Int($0) }), seconds > 0 {
      timers.post { [loop = timers] in loop.timer(after: .seconds(seconds)) { stream.finish() } }
    }
    var response = Response.json(200, [])
    response.stream = stream
    return response
  }
}

/// Maps are merged; lists of objects with names are merged by them, others replaced (section A.7).
private func strategicallyMerged(_ object: JSON, _ patch: JSON) -> JSON {
  guard case .object(let changes) = patch else { return patch }
  var result = object
  for change in changes {
    let old = object[change.key]
    switch change.value {
    case .null: result.set(nil, at: change.key)
    case .array(let items) where items.allSatisfy { $0["name"]?.asString != nil } && !items.isEmpty:
      var merged = old?.items ?? []
      for item in items {
        if let place = merged.firstIndex(where: { $0["name"] == item["name"] }) {
          merged[place] = strategicallyMerged(merged[place], item)
        } else {
          merged.append(item)
        }
      }
      result.set(.array(merged), at: change.key)
    case .object: result.set(strategicallyMerged(old ?? [:], change.value), at: change.key)
    default: result.set(change.value, at: change.key)
    }
  }
  return result
}
