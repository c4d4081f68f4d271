import Engine
import EventSources
import Logging
import Manifest
import Plugin
import Posix

/// An event source that was made, and what it was made from.
struct MadeSource: Sendable {
  let name: EventSourceName
  let kind: String
  /// Of its manifest entry: two that are equal do the same work.
  let fingerprint: String
  let source: any EventSource
}

/// The work of event sources, each a task on the loop of sources.
actor SourceWorks {
  private struct Work {
    let fingerprint: String
    let task: Task<Void, Never>
  }

  private let loop: EventLoop
  private var works: [String: Work] = [:]
  /// Ends what entries that left have at forges.
  private var leaving: Task<Void, Never>?

  init(_ loop: EventLoop) { self.loop = loop }

  /// Ends the work of what is not in `sources`, then begins that of what is new there. One whose
  /// entry was not edited goes on as it is.
  /// - Parameter host: of what entries that are gone left behind; nil: nothing is done about it.
  func replace(with sources: [MadeSource], leavingBy host: BusSourceHost? = nil) async {
    leaving?.cancel()
    await leaving?.value
    leaving = nil
    let wanted = Dictionary(sources.map { ("\($0.kind) \($0.name)", $0) }) { _, last in last }
    let ended = works.filter { wanted[$0.key]?.fingerprint != $0.value.fingerprint }
    for (name, work) in ended {
      work.task.cancel()
      works[name] = nil
    }
    for work in ended.values { await work.task.value }
    for (name, made) in wanted where works[name] == nil {
      let source = made.source
      let task = Task(executorPreference: loop) { @concurrent in await source.run() }
      works[name] = Work(fingerprint: made.fingerprint, task: task)
    }
    guard let host else { return }
    let keepers = sources.compactMap { ($0.source as? any HookOwner)?.keeper }
    let left = LeftHooks(host.places.all, keepers: keepers)
    leaving = Task(executorPreference: loop) { @concurrent in
      var left = left
      await left.run(host)
    }
  }
}
