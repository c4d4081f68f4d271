import HTTP
import JSON

extension TestForgeServer {
  /// One hook or their list, as this forge has them.
  func hook(_ path: String, _ request: Request, _ body: JSON, _ state: inout State) -> Response {
    if flavour == .gerrit { return remote(path, request, body, &state) }
    let word = flavour == .bitbucketserver ? "/webhooks" : "/hooks"
    guard let place = path.firstRange(of: word) else { return Self.message(404, "Not Found") }
    let list = String(path[..<place.upperBound])
    let rest = path[place.upperBound...].split(separator: "/").map {
      APIRequest.decoded(String($0))
    }
    switch (request.head.method, rest.count) {
    case ("GET", 0): return page(state.hooks[list] ?? [], request, list)
    case ("POST", 0):
      if let refusal = refusal(body) { return refusal }
      state.lastID += 1
      let made = described(body, id: state.lastID)
      state.secrets[Self.id(made)] = secret(body)
      state.hooks[list, default: []].append(made)
      return .json(201, made.encoded())
    case (let method, 1):
      guard let index = state.hooks[list]?.firstIndex(where: { Self.id($0) == rest[0] }) else {
        return Self.message(404, "Not Found")
      }
      let wanted = [.github, .gitea].contains(flavour) ? "PATCH" : "PUT"
      switch method {
      case "DELETE":
        state.hooks[list]?.remove(at: index)
        return Response(status: 204)
      case wanted:
        if let refusal = refusal(body) { return refusal }
        let old = state.hooks[list]?[index] ?? .null
        let made = described(body, id: old["id"]?.wholeNumber ?? 0, uuid: old["uuid"])
        if let secret = secret(body) { state.secrets[rest[0]] = secret }
        state.hooks[list]?[index] = made
        return .json(200, made.encoded())
      default: return Self.message(405, "Method Not Allowed")
      }
    case ("POST", 3) where flavour == .gitlab && rest[1] == "test":
      guard let index = state.hooks[list]?.firstIndex(where: { Self.id($0) == rest[0] }) else {
        return Self.message(404, "404 Not found")
      }
      // The receiver answered: it is called again from now on.
      state.hooks[list]?[index].set("executable", at: "alert_status")
      return Self.message(201, "201 Created")
    default: return Self.message(404, "Not Found")
    }
  }

  /// Gerrit's plugin `webhooks`: remotes by their names, in `…/PROJECT/remotes/NAME`.
  private func remote(
    _ path: String,
    _ request: Request,
    _ body: JSON,
    _ state: inout State
  ) -> Response {
    let word = "/remotes"
    guard path.hasPrefix("/config/server/webhooks~projects/"), let place = path.firstRange(of: word)
    else { return Self.message(404, "Not found") }
    let list = String(path[..<place.upperBound])
    let name = APIRequest.decoded(String(path[place.upperBound...].dropFirst()))
    let index = state.hooks[list]?.firstIndex { $0["name"] == .string(name) }
    switch (request.head.method, name.isEmpty, index) {
    case ("GET", true, _):
      let members = (state.hooks[list] ?? []).map { hook in
        var remote = hook
        remote.set(nil, at: "name")
        return JSON.Member(key: hook["name"]?.asString ?? "", value: remote)
      }
      return .json(200, JSON.object(members).encoded())
    case ("PUT", false, let index):
      guard body["url"]?.asString?.hasPrefix("http") == true else {
        return Self.message(400, "url is missing")
      }
      var remote = body
      remote.set(.string(name), at: "name")
      if let index {
        state.hooks[list]?[index] = remote
      } else {
        state.hooks[list, default: []].append(remote)
      }
      return .json(index == nil ? 201 : 200, body.encoded())
    case ("DELETE", false, let index?):
      state.hooks[list]?.remove(at: index)
      return Response(status: 204)
    default: return Self.message(404, "Not found")
    }
  }

  private static func id(_ hook: JSON) -> String {
    hook["uuid"]?.asString ?? hook["id"]?.wholeNumber.map(String.init) ?? ""
  }

  private func secret(_ body: JSON) -> String? {
    switch flavour {
    case .github, .gitea: body.at("config", "secret")?.asString
    case .gitlab: body["token"]?.asString
    case .bitbucket: body["secret"]?.asString
    case .bitbucketserver: body.at("configuration", "secret")?.asString
    case .gerrit: nil
    }
  }

  private func refusal(_ body: JSON) -> Response? {
    let url: JSON?
    switch flavour {
    case .github:
      guard body["name"] == "web" else { return Self.message(422, "name must be web") }
      url = body.at("config", "url")
    case .gitea:
      guard body["type"] == "gitea", body.at("config", "content_type") != nil else {
        return Self.message(422, "type and content_type are required")
      }
      url = body.at("config", "url")
    default: url = body["url"]
    }
    guard let text = url?.asString, text.hasPrefix("http") else {
      return Self.message(422, "url is missing")
    }
    if flavour == .bitbucketserver, (body["name"]?.asString ?? "").isEmpty {
      return Self.message(400, "name is missing")
    }
    if flavour != .gitlab, body["events"]?.items.isEmpty != false {
      return Self.message(422, "events are missing")
    }
    return nil
  }

  /// What the forge tells of a hook that was made so.
  private func described(_ body: JSON, id: Int, uuid: JSON? = nil) -> JSON {
    var hook = body
    switch flavour {
    case .github:
      hook.set(JSON(id), at: "id")
      hook.set("Repository", at: "type")
      if body.at("config", "secret") != nil { hook.set("********", at: "config", "secret") }
    case .gitea:
      hook.set(JSON(id), at: "id")
      hook.set(nil, at: "config", "secret")
    case .gitlab:
      hook.set(JSON(id), at: "id")
      hook.set(nil, at: "token")
      hook.set("executable", at: "alert_status")
      hook.set(.null, at: "disabled_until")
    case .bitbucket:
      let name = uuid ?? .string("{0000-\(id)}")
      hook.set(name, at: "uuid")
      hook.set(.bool(body["secret"] != nil), at: "secret_set")
      hook.set(nil, at: "secret")
    case .bitbucketserver:
      hook.set(JSON(id), at: "id")
      hook.set(["createdBy": "bitbucket"], at: "configuration")
    case .gerrit: break
    }
    return hook
  }

  private func page(_ hooks: [JSON], _ request: Request, _ list: String) -> Response {
    let query = APIRequest.query(request.head.query)
    switch flavour {
    case .github, .gitlab, .gitea:
      let asked = Int(query["per_page"] ?? query["limit"] ?? "") ?? 20
      let size = min(asked, pageMax)
      let number = Int(query["page"] ?? "1") ?? 1
      let part = Array(hooks.dropFirst((number - 1) * size).prefix(size))
      var response = Response.json(200, JSON.array(part).encoded())
      if hooks.count > number * size {
        let next = "\(address)\(root)\(list)?per_page=\(size)&limit=\(size)&page=\(number + 1)"
        response.headers.add("Link", "<\(next)>; rel=\"next\", <\(next)>; rel=\"last\"")
      }
      return response
    case .bitbucket:
      let size = min(Int(query["pagelen"] ?? "") ?? 10, pageMax)
      let number = Int(query["page"] ?? "1") ?? 1
      let part = Array(hooks.dropFirst((number - 1) * size).prefix(size))
      var answer: JSON = ["pagelen": JSON(size), "values": .array(part), "page": JSON(number)]
      if hooks.count > number * size {
        let next = "\(address)\(root)\(list)?pagelen=\(size)&page=\(number + 1)"
        answer.set(.string(next), at: "next")
      }
      return .json(200, answer.encoded())
    case .gerrit: return Self.message(404, "Not found")
    case .bitbucketserver:
      let size = min(Int(query["limit"] ?? "") ?? 25, pageMax)
      let start = Int(query["start"] ?? "0") ?? 0
      let part = Array(hooks.dropFirst(start).prefix(size))
      let isLast = start + part.count >= hooks.count
      var answer: JSON = [
        "size": JSON(part.count), "limit": JSON(size), "isLastPage": .bool(isLast),
        "values": .array(part), "start": JSON(start),
      ]
      if !isLast { answer.set(JSON(start + part.count), at: "nextPageStart") }
      return .json(200, answer.encoded())
    }
  }
}
