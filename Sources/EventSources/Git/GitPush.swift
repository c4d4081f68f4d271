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
      fullName: JSONValue(string: parts.joined(separator: "/")),
      name: parts.last.map(JSONValue.init(string:)),
      cloneURL: JSONValue(string: place)
    )
  }

  private static func parts(_ place: String) -> [String] {
    var text = place
    while text.hasSuffix("/") { text.removeLast() }
    if text.hasSuffix(".git") { text.removeLast(4) }
    return text.split { $0 == "/" || $0 == ":" }.map(String.init)
  }

  /// Writes an event's data for one of the refs.
  func write(_ ref: Ref, to writer: inout JSONWriter) {
    var push = Push(
      repository: Self.repository(path),
      ref: ref.ref,
      before: JSONValue(string: ref.before),
      after: JSONValue(string: ref.after)
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
      let pusher = JSONValue(string: pusher)
      push.pusher = Push.Person(name: pusher, username: pusher)
    }
    let own: [JSON.Member] = ["repository", "number", "options", "time"].compactMap { key in
      body[key].map { .init(key: key, value: $0) }
    }
    writer.add("body", .object(own))
    push.write("push", to: &writer)
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

  /// Writes an event's data: what came between is not known.
  func write(repository: Push.Repository, isGap: Bool, to writer: inout JSONWriter) {
    var push = Push(
      repository: repository,
      ref: ref,
      before: JSONValue(string: before),
      after: JSONValue(string: after)
    )
    push.isTruncated = !Git.isZero(after)
    writer.add("body", .object([]))
    push.write("push", to: &writer)
    if isGap { writer.add("gap", true) }
  }
}
