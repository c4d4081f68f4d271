/// What has to be done so that a target has the hook that is wished for, once.
package enum HookStep: Sendable, Equatable, CustomStringConvertible {
  case create
  /// What differs, in words.
  case update(id: String, [String])
  case remove(id: String, why: String)
  case keep(id: String)

  /// Decides by what the forge has. Hooks with another URL are somebody else's and left alone.
  /// - Parameter known: the id of the hook that was made before, which is ours whatever its URL.
  package static func steps(
    _ wish: HookWish,
    _ hooks: [FoundHook],
    known: String? = nil
  ) -> [HookStep] {
    let own = hooks.filter { $0.url == wish.url || $0.id == known || $0.id == wish.name }
    let fitting = own.first { differences(wish, $0).isEmpty }
    guard let kept = fitting ?? own.first else { return [.create] }
    let found = differences(wish, kept)
    let first: HookStep = found.isEmpty ? .keep(id: kept.id) : .update(id: kept.id, found)
    return [first]
      + own.filter { $0.id != kept.id }.map {
        .remove(id: $0.id, why: "a second one for the same URL")
      }
  }

  private static func differences(_ wish: HookWish, _ hook: FoundHook) -> [String] {
    var found: [String] = []
    if wish.url != hook.url {
      // Behind the question mark may be a token.
      let url = hook.url.prefix { $0 != "?" }
      found.append(wish.url.prefix { $0 != "?" } == url ? "with another token" : "for \(url)")
    }
    let wanted = Set(wish.events)
    if wanted != hook.events, !(wanted.contains("*") && hook.events.contains("*")) {
      let missing = wanted.subtracting(hook.events).sorted()
      let extra = hook.events.subtracting(wanted).sorted()
      if !missing.isEmpty { found.append("without events \(missing.joined(separator: ", "))") }
      if !extra.isEmpty { found.append("with more events: \(extra.joined(separator: ", "))") }
    }
    if wish.isActive != hook.isActive { found.append(hook.isActive ? "active" : "not active") }
    if let type = hook.contentType, type != wish.contentType {
      found.append("content type \(type)")
    }
    if let wanted = wish.triesMax, wanted != hook.triesMax {
      found.append("tried \(hook.triesMax.map(String.init) ?? "an unknown number of") times")
    }
    if let verifies = hook.verifiesTLS, verifies != wish.verifiesTLS {
      found.append(verifies ? "verifies TLS" : "does not verify TLS")
    }
    return found
  }

  package var isChange: Bool { if case .keep = self { false } else { true } }

  package var description: String {
    switch self {
    case .create: "create"
    case .update(let id, let differences):
      "update hook \(id), which is \(differences.joined(separator: "; "))"
    case .remove(let id, let why): "remove hook \(id): \(why)"
    case .keep(let id): "hook \(id) is as it should be"
    }
  }
}
