import Event
import ForgeAPI
import HTTPClient
import JSON
package import Manifest
package import Plugin

/// `commitStatus`: shows on a commit at its forge how something that was done with it stands. By
/// itself it reads all of it from the outcome that fired it and from the push that the outcome goes
/// back to.
package struct CommitStatusTrigger: Trigger {
  package static let kind = "commitStatus"
  /// One after the other, so that a state is not overtaken by the one before it.
  package static let concurrency = 1
  package static let runsPrograms = false

  private let spec: CommitStatusSpec
  private let host: any TriggerHost
  private let clients: [ForgeKind: ForgeClient]

  package static func refusal(ofParameter destination: String) -> String? {
    if CommitStatusSpec.destinations.contains(destination) { return nil }
    let expected = CommitStatusSpec.destinations.joined(separator: ", ")
    return "found '\(destination)', expected one of \(expected)"
  }

  package init(
    _ spec: CommitStatusSpec,
    original: CommitStatusSpec?,
    host: any TriggerHost,
    _ block: Block
  ) {
    self.spec = spec
    self.host = host
    var clients: [ForgeKind: ForgeClient] = [:]
    for access in spec.forges {
      access.check(host.secrets, block, prefix: access.kind.rawValue + ".")
      do throws(SecretError) {
        clients[access.kind] = try access.client(host.secrets) {
          [host] (request) throws(OutboundError) in
          try await host.send(request)
        }
      } catch { block.error(access.kind.rawValue, "\(error)") }
    }
    self.clients = clients
  }

  package func fire(_ firing: Firing) async -> Outcome {
    let outcome = firing.events.lazy.compactMap { Reported($0.event) }.first
    if let outcome, outcome.isUnderWay, spec.state == nil, await firing.hasEnded(outcome.event) {
      return .skipped(why: "what it tells of has ended meanwhile", result: .null)
    }
    let told = await Subject(of: firing)
    if told?.isGone == true {
      return .skipped(why: "the branch or tag was deleted: there is no commit", result: .null)
    }
    guard let state = spec.state ?? outcome?.state else {
      return .reject(why: "no state, and the event is no outcome that has one", result: .null)
    }
    if told == nil, spec.repository.isEmpty || spec.commit.isEmpty {
      return .reject(
        why: "no push or pull request on the bus led here: say repository and commit",
        result: .null
      )
    }
    let kind: ForgeKind
    switch forge(told) {
    case .success(let found): kind = found
    case .failure(let why): return .skipped(why: why.text, result: .null)
    }
    guard let client = clients[kind] else {
      return .reject(why: "nobody may call \(kind.rawValue)", result: .null)
    }
    let status = CommitStatus(
      repository: spec.repository.isEmpty ? told?.repository ?? "" : spec.repository,
      commit: spec.commit.isEmpty ? told?.commit ?? "" : spec.commit,
      state: state,
      context: spec.context.isEmpty ? outcome?.name ?? "signalbox" : spec.context,
      description: spec.description.isEmpty ? outcome?.words ?? "" : spec.description,
      url: spec.targetURL.isEmpty ? told?.webURL : spec.targetURL
    )
    return await report(status, client, firing)
  }

  private struct NoForge: Error { let text: String }

  /// Where to report it: as the manifest says, or where the push came from.
  private func forge(_ subject: Subject?) -> Result<ForgeKind, NoForge> {
    if let forge = spec.forge { return .success(forge) }
    let kinds = spec.forges.map(\.kind)
    let names = kinds.map(\.rawValue).joined(separator: ", ")
    if let kind = subject.flatMap({ ForgeKind(rawValue: $0.type) }) {
      return kinds.contains(kind)
        ? .success(kind)
        : .failure(NoForge(text: "the push is of \(kind.rawValue), which is not among \(names)"))
    }
    // A push that came some other way is at the only one there is.
    guard kinds.count == 1 else {
      return .failure(
        NoForge(text: "the event is of no forge, and 'forge' does not say one of \(names)")
      )
    }
    return .success(kinds[0])
  }

  private func report(_ status: CommitStatus, _ client: ForgeClient, _ firing: Firing) async
    -> Outcome
  {
    var members: [JSON.Member] = [
      .init(key: "forge", value: .string(client.kind.rawValue)),
      .init(key: "repository", value: .string(status.repository)),
      .init(key: "commit", value: .string(status.commit)),
      .init(key: "state", value: .string(status.state.rawValue)),
      .init(key: "context", value: .string(status.context)),
    ]
    if let url = status.url { members.append(.init(key: "targetURL", value: .string(url))) }
    let result = JSON.object(members)
    do throws(ForgeError) {
      try await client.report(status, key: firing.id.text)
      return .done(result: result)
    } catch {
      switch error.kind {
      case .later(let after): return .retry(after: after, why: "\(error)", result: result)
      case .refused: return .reject(why: "\(error)", result: result)
      }
    }
  }
}

/// What an outcome says about a firing.
private struct Reported {
  let event: Event
  let state: CommitStatus.State
  let isUnderWay: Bool
  /// `sensor/trigger`.
  let name: String
  let words: String

  /// nil unless it is an outcome.
  init?(_ event: Event) {
    guard event.source == Event.outcomeSource, let data = try? JSON(parsing: event.data),
      let phase = data["phase"]?.asString
    else { return nil }
    self.event = event
    switch phase {
    case "started", "progress": state = .pending
    case "succeeded", "skipped": state = .success
    case "failed": state = .failure
    default: state = .error
    }
    isUnderWay = state == .pending
    name = "\(data["sensor"]?.asString ?? "")/\(data["trigger"]?.asString ?? "")"
    let why = data["why"]?.asString.map { ": " + $0 } ?? ""
    words = phase + why
  }
}

/// The commit that a firing goes back to.
private struct Subject {
  /// Of the event that told of it: the forge's kind.
  let type: String
  let repository: String?
  let commit: String?
  let webURL: String?
  /// Whether a ref went away, so that there is no commit to show anything on.
  let isGone: Bool

  /// More events than this are not looked at.
  private static let eventsMax = 100

  /// Looks at the firing's events, then at what led to them, the nearest first.
  init?(of firing: Firing) async {
    var waiting = firing.events.map(\.event)
    var seen = 0
    while seen < waiting.count, seen < Self.eventsMax {
      let event = waiting[seen]
      seen += 1
      if let subject = Subject(event) {
        self = subject
        return
      }
      waiting += await firing.causes(event)
    }
    return nil
  }

  /// nil where the event tells of no commit.
  private init?(_ event: Event) {
    guard !event.isOwn, let data = try? JSON(parsing: event.data) else { return nil }
    type = event.type
    if let push = data["push"] {
      repository = push.at("repository", "fullName")?.asString
      commit = push["after"]?.asString
      webURL = push["compareURL"]?.asString ?? push.at("repository", "webURL")?.asString
      isGone = push["deleted"] == .bool(true)
    } else if let request = data["pullRequest"] {
      repository = request.at("repository", "fullName")?.asString
      commit = request.at("source", "commit")?.asString
      webURL = request["webURL"]?.asString
      isGone = false
    } else {
      return nil
    }
  }
}
