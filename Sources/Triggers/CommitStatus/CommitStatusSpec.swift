import ForgeAPI
import HTTPClient
package import Manifest

/// The fields of a `commitStatus` trigger.
package struct CommitStatusSpec: ManifestBlock, Sendable {
  /// The forges that can be told, by their kind.
  let forges: [ForgeAccess]
  /// Which of them; nil: the one that the push came from.
  let forge: ForgeKind?
  /// Empty: as the push says.
  let repository: String
  let commit: String
  /// nil: by the outcome.
  let state: CommitStatus.State?
  /// Empty: by the outcome.
  let context: String
  let description: String
  let targetURL: String

  /// What senders of events may choose.
  static let destinations = [
    "repository", "commit", "state", "context", "description", "targetURL",
  ]

  package init(from block: Block) {
    forges = ForgeKind.withStatuses.compactMap { kind in
      guard let own = block.block(kind.rawValue) else { return nil }
      let access = ForgeAccess(kind, from: own)
      own.finish()
      if access.root == nil, !own.contains(kind.addressField) {
        own.error(kind.addressField, "found nothing, expected where the forge is")
      }
      if access.login == nil, !own.contains(access.loginField) {
        let also = kind == .github ? " or githubApp" : ""
        own.error(access.loginField, "found nothing, expected a secret {name, key}\(also)")
      }
      return access
    }
    let word = block.string("forge") ?? ""
    forge = ForgeKind(rawValue: word)
    let kinds = forges.map(\.kind.rawValue)
    if kinds.isEmpty {
      let all = ForgeKind.withStatuses.map(\.rawValue).joined(separator: ", ")
      block.error(nil, "found no forge, expected at least one of \(all)")
    } else if !word.isEmpty, !kinds.contains(word) {
      block.error(
        "forge",
        "found '\(word)', expected a forge that is described here: \(kinds.joined(separator: ", "))"
      )
    }
    repository = block.string("repository") ?? ""
    commit = block.string("commit") ?? ""
    let state = block.string("state") ?? ""
    self.state = CommitStatus.State(rawValue: state)
    if self.state == nil, !state.isEmpty {
      let known = CommitStatus.State.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("state", "found '\(state)', expected one of \(known)")
    }
    context = block.string("context") ?? ""
    description = block.string("description") ?? ""
    targetURL = block.string("targetURL") ?? ""
    if !targetURL.isEmpty {
      do throws(OutboundError) {
        if try OutboundURL(parsing: targetURL).hasUser {
          block.error("targetURL", "found a URL with a user in it, which everybody would see")
        }
      } catch { block.error("targetURL", "\(error)") }
    }
    block.accept("parameters")
    block.finish()
  }
}
