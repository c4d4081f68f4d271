import JSON

/// How a forge writes pushes and pull requests: one function a forge, from its body to ours. A
/// body that lacks what a push cannot be without is no push.
struct Shape: Sendable {
  /// What one delivery tells; several pushes where several refs moved.
  struct Told {
    var pushes: [Push] = []
    var pullRequest: PullRequest?
  }

  /// - Parameters:
  ///   - event: what the forge calls the event.
  ///   - body: the body's members.
  let read: @Sendable (_ event: String, _ body: JSONFields) -> Told
  /// The path to the list of refs that moved, where one delivery may tell of several.
  let changes: [String]?
  /// Whether the commits of a delivery belong to all its refs together, so that nobody knows whose
  /// they are where several moved.
  let sharesCommits: Bool

  init(
    changes: [String]? = nil,
    sharesCommits: Bool = false,
    _ read: @escaping @Sendable (_ event: String, _ body: JSONFields) -> Told
  ) {
    self.read = read
    self.changes = changes
    self.sharesCommits = sharesCommits
  }

  static let none = Shape { _, _ in Told() }
}

extension JSONFields {
  /// Steps into an object; an empty one where there is none.
  func inside(_ key: String) -> JSONFields { self[key]?.fields ?? JSONFields.empty }

  /// A string that is not empty, as it was written; nil for anything else.
  func text(_ key: String) -> JSONValue? { self[key]?.textValue }

  func flag(_ key: String) -> Bool? {
    guard let value = self[key]?.value, value.kind == .bool else { return nil }
    return value.isTrue
  }

  func number(_ key: String) -> Int? {
    guard let value = self[key]?.value, value.kind == .number else { return nil }
    return Int(value.string)
  }

  func items(_ key: String) -> [JSONView] { self[key]?.items ?? [] }

  /// A list of strings; nil where there is no list.
  func texts(_ key: String) -> [JSONValue]? { self[key]?.texts }

  /// The paths of a commit as GitHub and those after it write them; nil where there are none.
  var paths: Push.Paths? {
    let (added, modified, removed) = (texts("added"), texts("modified"), texts("removed"))
    guard added != nil || modified != nil || removed != nil else { return nil }
    return Push.Paths(added: added ?? [], modified: modified ?? [], removed: removed ?? [])
  }
}
