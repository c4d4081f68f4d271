import HTTP
import JSON
import TLS

/// What tells one delivery from another.
struct Delivery {
  /// What happened, in the forge's words; empty where it does not say.
  let event: String
  /// Empty where the forge does not say.
  let hook: String
  /// nil where the forge named nothing.
  let id: String?
  /// Of the JSON that was sent, 32 hexadecimal digits.
  let digest: String

  init(_ provider: Provider, _ headers: Headers, _ document: JSONDocument) {
    let digest = hexadecimal(SHA256.digest(document.bytes).prefix(16))
    func found(_ place: Provider.Place) -> String? {
      switch place {
      case .header(let name): headers[name]
      case .body(let key): document.view.fields[key]?.value.string
      case .digest: digest
      }
    }
    self.digest = digest
    event = found(provider.event) ?? ""
    hook = provider.hook.flatMap(found) ?? ""
    id = provider.delivery.lazy.compactMap(found).first { !$0.isEmpty }
  }
}

/// A delivery or one change of it, with what we say about it beside the forge's body.
struct Told {
  let document: JSONDocument
  /// `push`, `pushes`, `pullRequest`, as text without braces; empty where it tells none.
  let members: ArraySlice<UInt8>
  /// The only push it tells of, where paths are missing that a comparison would tell.
  let incomplete: Push?

  /// More changes than this, or more bytes of all their bodies, are left together.
  private static let changesMax = 256
  private static let bytesMax = 32 << 20

  private init(_ document: JSONDocument, _ event: String, _ shape: Shape, isPart: Bool = false) {
    self.document = document
    var told = shape.read(event, document.view.fields)
    if shape.sharesCommits, isPart || told.pushes.count > 1 {
      for index in told.pushes.indices { told.pushes[index].commits = [] }
    }
    // What we say of a push is seldom longer than what its forge said.
    var writer = JSONWriter(capacity: min(document.bytes.count, 64 << 10))
    told.pushes.first?.write("push", to: &writer)
    if told.pushes.count > 1 {
      writer.array("pushes") { writer in
        for push in told.pushes { push.write(to: &writer) }
      }
    }
    told.pullRequest?.write("pullRequest", to: &writer)
    members = writer.bytes[...]
    let push = told.pushes.count == 1 && told.pullRequest == nil ? told.pushes.first : nil
    incomplete = push.flatMap { $0.isComparable ? $0 : nil }
  }

  /// The same with all paths of its push.
  init(_ other: Told, _ push: Push, paths: [String]) {
    document = other.document
    var push = push
    push.comparedPaths = paths.map(JSONValue.init(string:))
    push.isTruncated = false
    var writer = JSONWriter()
    push.write("push", to: &writer)
    members = writer.bytes[...]
    incomplete = nil
  }

  /// One part for each ref that moved where `splits` says so, else the delivery as it came.
  static func parts(
    _ document: JSONDocument,
    _ event: String,
    _ shape: Shape,
    splits: Bool
  ) -> [Told] {
    guard splits, let path = shape.changes else { return [Told(document, event, shape)] }
    var list = document.view
    for key in path {
      guard let next = list.fields[key] else { return [Told(document, event, shape)] }
      list = next
    }
    let count = list.items.count
    guard (2...changesMax).contains(count), count * document.bytes.count <= bytesMax,
      let tree = document.root.json
    else { return [Told(document, event, shape)] }
    return (0..<count).compactMap { index in
      let bytes = tree.keeping(index, ofListAt: path[...]).encoded()
      return (try? JSONDocument(bytes)).map { Told($0, event, shape, isPart: true) }
    }
  }
}

extension Push {
  /// Whether paths are missing, and there are two commits to compare.
  fileprivate var isComparable: Bool {
    isTruncated && before != nil && after != nil && isCreated == false && isDeleted == false
      && repository.fullName != nil
  }
}

extension JSON {
  /// The same with one item alone in the list that `path` leads to.
  fileprivate func keeping(_ index: Int, ofListAt path: ArraySlice<String>) -> JSON {
    guard let key = path.first else {
      guard case .array(let items) = self else { return self }
      return .array([items[index]])
    }
    guard case .object(var members) = self,
      let place = members.firstIndex(where: { $0.key == key })
    else { return self }
    members[place].value = members[place].value.keeping(index, ofListAt: path.dropFirst())
    return .object(members)
  }
}
