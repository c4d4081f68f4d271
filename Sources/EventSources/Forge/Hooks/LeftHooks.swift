import ForgeAPI
import HTTPClient
package import JSON
package import Plugin
import Posix

/// Hooks at forges whose entries are in no manifest any more, or have nobody who may call the forge.
/// What is done with each was said by its entry, which is on the log.
package struct LeftHooks: Sendable {
  package struct Hook: Sendable {
    package let name: EventSourceName
    package let record: HookRecord
    /// Whether another entry has a hook for the same URL there: its name may have been changed.
    let isTaken: Bool

    /// What becomes of it, for people.
    package var description: String {
      if isTaken { return "hook \(record.id) stays: another entry has it now" }
      return record.deletes
        ? "remove hook \(record.id): its entry left the manifests"
        : "hook \(record.id) stays: its entry left the manifests without deleteHookOnFinish"
    }
  }

  package private(set) var hooks: [Hook]

  private static let waitMax = Duration.seconds(300)

  /// - Parameters:
  ///   - places: what each entry noted.
  ///   - keepers: of all entries; those whose hooks are managed keep them themselves.
  package init(_ places: [EventSourceName: [String: JSON]], keepers: [HookKeeper]) {
    let managed = keepers.filter(\.registration.isManaged)
    let kept = Set(managed.map(\.name))
    hooks = places.filter { !kept.contains($0.key) }
      .sorted { "\($0.key)" < "\($1.key)" }
      .flatMap { name, places in
        HookRecord.all(in: places).map { record in
          Hook(name: name, record: record, isTaken: managed.contains { $0.has(record) })
        }
      }
  }

  /// Removes those that are to go, and forgets all; goes on until it is done or cancelled.
  /// - Parameter firstWait: before what failed is tried again; it doubles up to five minutes.
  package mutating func run(
    _ host: any SourceHost,
    firstWait: Duration = .seconds(10)
  ) async {
    var wait = firstWait
    while true {
      var failed: [Hook] = []
      for hook in hooks where await !hook.end(host) { failed.append(hook) }
      hooks = failed
      if hooks.isEmpty || Task.isCancelled { return }
      await host.sleep(for: wait)
      if Task.isCancelled { return }
      wait = min(wait * 2, Self.waitMax)
    }
  }
}

extension LeftHooks.Hook {
  /// - Returns: whether nothing is left to be done.
  fileprivate func end(_ host: any SourceHost) async -> Bool {
    if Task.isCancelled { return false }
    if record.deletes, !isTaken {
      do throws(ForgeError) {
        guard let client = try record.client(host) else {
          throw ForgeError(.refused(status: 0), "the log does not say who may call the forge")
        }
        try await client.remove(record.id, at: record.target)
      } catch {
        say(host, .warning, "a hook could not be removed", [("why", error.description)])
        if case .later = error.kind { return false }
        // Nobody is going to let us: it is for a person to remove.
        return await forget(host)
      }
    }
    say(host, .info, "hooks: \(description)", [])
    return await forget(host)
  }

  private func forget(_ host: any SourceHost) async -> Bool {
    do throws(SinkError) {
      _ = try await host.append([], places: record.forgotten, from: name)
      return true
    } catch {
      say(host, .warning, "what became of a hook could not be stored", [("why", "\(error)")])
      return false
    }
  }

  private func say(
    _ host: any SourceHost,
    _ level: SourceLogLevel,
    _ message: String,
    _ fields: [(String, String)]
  ) {
    let about = [("source", "\(name)"), ("target", record.target.description)]
    host.log(level, message, about + fields)
  }
}

extension HookKeeper {
  /// Whether the hook of a record would be taken for this entry's.
  fileprivate func has(_ record: HookRecord) -> Bool {
    let access = registration.access
    return record.access?["kind"] == .string(access.kind.rawValue)
      && record.access?["root"] == access.root.map { .string($0) }
      && registration.targets.contains(record.target) && record.url == registration.url
  }
}

extension HookRecord {
  /// Who may remove the hook; nil where the log does not say.
  /// - Throws: `ForgeError` when a certificate cannot be had.
  func client(_ host: any SourceHost) throws(ForgeError) -> ForgeClient? {
    guard let access = access.flatMap(ForgeAccess.init(record:)) else { return nil }
    do throws(SecretError) {
      return try access.client(host.secrets) { (request) throws(OutboundError) in
        try await host.send(request)
      }
    } catch { throw ForgeError(.later(after: nil), "\(error)") }
  }
}
