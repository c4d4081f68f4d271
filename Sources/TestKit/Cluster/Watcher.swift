import HTTP
import JSON
import Synchronization

/// One watch request (section A.5).
struct Watcher: Sendable {
  let kind: String
  /// nil: all namespaces.
  let namespace: String?
  let labels: LabelSelector?
  let fields: FieldSelector?
  let stream: ResponseStream
  let wantsBookmarks: Bool

  private func matches(_ object: JSON) -> Bool {
    (labels?.matches(object) ?? true) && (fields?.matches(object) ?? true)
  }

  func covers(_ key: APIStore.Key) -> Bool {
    key.kind == kind && (namespace == nil || namespace == key.namespace)
  }

  func take(_ record: APIStore.Record) {
    guard covers(record.key) else { return }
    let was = record.last.map(matches) ?? false
    guard let object = record.object else {
      if was, let last = record.last { send("DELETED", last) }
      return
    }
    switch (was, matches(object)) {
    case (false, true): send("ADDED", object)
    case (true, true): send("MODIFIED", object)
    case (true, false):
      // An object that stops matching is reported as deleted.
      send("DELETED", object)
    case (false, false): break
    }
  }

  func send(_ type: String, _ object: JSON) {
    var line = Array("{\"type\":\"\(type)\",\"object\":".utf8)
    object.append(to: &line)
    line += "}\n".utf8
    stream.write(line)
  }

  func bookmark(_ kind: APIKind, _ revision: Int) {
    guard wantsBookmarks else { return }
    send(
      "BOOKMARK",
      [
        "kind": .string(kind.kind), "apiVersion": .string(kind.apiVersion),
        "metadata": ["resourceVersion": .string(String(revision))],
      ]
    )
  }
}

extension APIStore {
  /// Adds a watch, with what has happened since `version` before anything new.
  /// - Parameter version: nil or 0: the present state as ADDED first.
  /// - Throws: 410 where that is forgotten.
  func watch(_ watcher: Watcher, from version: Int?) throws(APIFailure) -> Int {
    let number = state.withLock { state -> Int? in
      if let version, version > 0 {
        guard version >= state.compacted else { return nil }
        for record in state.history where record.revision > version { watcher.take(record) }
      } else {
        for (key, object) in state.objects where watcher.covers(key) {
          watcher.take(Record(revision: state.revision, key: key, object: object, last: nil))
        }
      }
      state.nextWatcher += 1
      state.watchers[state.nextWatcher] = watcher
      return state.nextWatcher
    }
    guard let number else { throw .expired }
    return number
  }

  func unwatch(_ number: Int) {
    state.withLock { _ = $0.watchers.removeValue(forKey: number) }
  }

  /// Ends every watch, as a server does now and then; those that follow begin anew.
  func endWatches(_ failure: APIFailure? = nil) {
    let watchers = state.withLock { state in
      defer { state.watchers = [:] }
      return Array(state.watchers.values)
    }
    for watcher in watchers {
      if let failure { watcher.send("ERROR", failure.status) }
      watcher.stream.finish()
    }
  }

  func bookmarks(_ kind: APIKind) {
    state.withLock { state in
      for watcher in state.watchers.values where watcher.kind == kind.key {
        watcher.bookmark(kind, state.revision)
      }
    }
  }

  var watcherCount: Int { state.withLock { $0.watchers.count } }
}
