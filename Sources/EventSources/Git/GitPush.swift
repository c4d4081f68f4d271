import JSON

/// A push as the hook hands it over.
struct GitPush {
  struct Ref {
    let ref: String
    let before: String
    let after: String
    let json: JSON
  }

  /// The repository's.
  let id: String
  let number: Int
  let refs: [Ref]
  private let body: JSON
  private let path: String

  /// nil for anything else.
  init?(_ body: JSON) {
    guard case .string(let id)? = body["repository"]?["id"],
      case .string(let path)? = body["repository"]?["path"],
      case .number(let number)? = body["number"], let number = Int(number),
      case .array(let refs)? = body["refs"], !refs.isEmpty
    else { return nil }
    var read: [Ref] = []
    for json in refs {
      guard case .string(let ref)? = json["ref"], case .string(let before)? = json["before"],
        case .string(let after)? = json["after"], Git.isCommit(before), Git.isCommit(after)
      else { return nil }
      read.append(Ref(ref: ref, before: before, after: after, json: json))
    }
    self.id = id
    self.path = path
    self.number = number
    self.refs = read
    self.body = body
  }

  /// A repository by its path or URL; its full name is the last two parts without `.git`, as
  /// forges name repositories.
  static func repository(_ place: String) -> Push.Repository {
    let parts = parts(place).suffix(2)
    return Push.Repository(
      fullName: parts.joined(separator: "/"),
      name: parts.last,
      cloneURL: place
    )
  }

  private static func parts(_ place: String) -> [String] {
    var text = place
    while text.hasSuffix("/") { text.removeLast() }
    if text.hasSuffix(".git") { text.removeLast(4) }
    return text.split { $0 == "/" || $0 == ":" }.map(String.init)
  }

  /// An event's data for one of the refs.
  func data(_ ref: Ref) -> [JSON.Member] {
    var push = Push(
      repository: Self.repository(path),
      ref: ref.ref,
      before: ref.before,
      after: ref.after
    )
    let described = (try? JSONDocument(ref.json.encoded()))?.view.fields ?? JSONFields.empty
    push.isForced = described.flag("forced")
    push.isTruncated = described.flag("truncated") ?? true
    push.commits = described.items("commits").map(\.fields).map { commit in
      let author = commit.inside("author")
      return Push.Commit(
        id: commit.text("id"),
        message: commit.text("message"),
        author: Push.Person(name: author.text("name"), email: author.text("email")),
        time: commit.text("time"),
        paths: commit.paths
      )
    }
    if case .string(let pusher)? = body["pusher"] {
      push.pusher = Push.Person(name: pusher, username: pusher)
    }
    let own: [JSON.Member] = ["repository", "number", "options", "time"].compactMap { key in
      body[key].map { .init(key: key, value: $0) }
    }
    return [.init(key: "body", value: .object(own)), .init(key: "push", value: push.json)]
  }
}

/// A ref that is elsewhere than it was last seen.
struct RefChange: Hashable {
  let ref: String
  let before: String
  let after: String

  static func changes(from old: [String: String], to new: [String: String]) -> [RefChange] {
    Set(old.keys).union(new.keys).sorted().compactMap { ref in
      let commits = (old[ref], new[ref])
      guard commits.0 != commits.1 else { return nil }
      let zero = String(repeating: "0", count: (commits.0 ?? commits.1 ?? "").utf8.count)
      return RefChange(ref: ref, before: commits.0 ?? zero, after: commits.1 ?? zero)
    }
  }

  /// An event's data: what came between is not known.
  func data(repository: Push.Repository, isGap: Bool) -> [JSON.Member] {
    var push = Push(repository: repository, ref: ref, before: before, after: after)
    push.isTruncated = !Git.isZero(after)
    var members: [JSON.Member] = [
      .init(key: "body", value: .object([])), .init(key: "push", value: push.json),
    ]
    if isGap { members.append(.init(key: "gap", value: true)) }
    return members
  }
}
