import Cluster
import Event
import JSON
import Plugin
import Posix

/// How an object differs from what is known of it.
struct ObjectChange: Sendable {
  enum Kind: String, Sendable { case added = "ADD", updated = "UPDATE", deleted = "DELETE" }

  let kind: Kind
  /// Its state, the last one where it was deleted.
  let object: ObservedObject
  /// What was noted of it; nil: nothing.
  let note: JSON?
  /// Its state before; nil where that is not known.
  let body: [UInt8]?
}

/// What a source tells of objects. All of it is decided from its arguments alone.
protocol ObjectTeller: Sendable {
  /// What is noted of an object on the log, so that a change is known after a restart; nil: the
  /// object does not concern the source. `uid` and `version` are added by the reader.
  func note(of object: ObservedObject) -> JSON?
  /// The events that tell a change; each with the same id however often the change is seen.
  func events(_ change: ObjectChange) -> [Event]
  /// Whether changes are told with the state before.
  var wantsBodies: Bool { get }
}

/// Reads one kind of object for a source. What is known of each object, and how far the reading
/// got, is noted on the log behind the events: a restart goes on from there, and where the cluster
/// has forgotten that place its objects are compared with what is known of them.
actor ObjectReader {
  private struct Known {
    var note: JSON
    var body: [UInt8]?
  }

  private let teller: any ObjectTeller
  private let name: EventSourceName
  private let host: any SourceHost
  /// Before the keys of its places.
  private let plural: String
  private var known: [String: Known] = [:]
  private(set) var version: String?
  /// What a list under way has brought.
  private var listed: Set<String> = []
  /// The first list of all: what is there was there before the source.
  private var isFirst: Bool
  private var firstNotes: [SourcePlace] = []
  private var bodyBytes = 0
  private var notedAt = MonotonicTime.now()

  /// Of objects; what is above it is known until the next restart only.
  private static let notesMax = 20_000
  private static let bodyBytesMax = 64 << 20
  /// A cluster forgets places in about five minutes.
  private static let noteInterval = Duration.seconds(120)

  init(
    _ teller: any ObjectTeller,
    _ plural: String,
    _ name: EventSourceName,
    _ host: any SourceHost
  ) {
    self.teller = teller
    self.name = name
    self.host = host
    self.plural = plural
    let places = host.places(of: name)
    version = places["cursor \(plural)"]?.asString
    isFirst = version == nil
    for (key, value) in places where key.hasPrefix(plural + " ") {
      known[String(key.dropFirst(plural.utf8.count + 1))] = Known(note: value)
    }
  }

  func run(_ feed: ObjectFeed, failed: @escaping @Sendable (ClusterError) -> Void) async {
    if let version, teller.wantsBodies {
      do throws(ClusterError) {
        try await feed.objects(as: version) { await self.remember($0) }
      } catch {
        // Forgotten: states before are then not told.
        if !error.isGone { failed(error) }
      }
    }
    await feed.run(from: version, failed: failed) { await self.take($0) }
  }

  /// The state that an object had where the last reading ended.
  private func remember(_ object: ObservedObject) {
    let key = key(object)
    guard var entry = known[key], entry.note["version"] == .string(object.resourceVersion) else {
      return
    }
    setBody(object.bytes, in: &entry)
    known[key] = entry
  }

  private func take(_ change: WatchChange) async {
    switch change {
    case .listBegan:
      (listed, firstNotes) = ([], [])
      if isFirst { (known, bodyBytes) = ([:], 0) }
    case .listed(let object):
      listed.insert(key(object))
      if isFirst { keep(object) } else { await see(object, of: nil) }
    case .listEnded(let version): await listEnded(version)
    case .added(let object): await see(object, of: .added)
    case .modified(let object): await see(object, of: .updated)
    case .deleted(let object): await lose(key(object), object)
    case .bookmark(let version):
      self.version = version
      guard MonotonicTime.now() - notedAt >= Self.noteInterval else { return }
      await store([], [cursor(version)])
    }
  }

  private func key(_ object: ObservedObject) -> String { "\(object.namespace)/\(object.name)" }

  private func cursor(_ version: String) -> SourcePlace {
    notedAt = MonotonicTime.now()
    return SourcePlace(key: "cursor \(plural)", value: .string(version))
  }

  /// nil where there are too many.
  private func place(_ key: String, _ note: JSON?) -> SourcePlace? {
    if note != nil, known[key] == nil, known.count >= Self.notesMax { return nil }
    return SourcePlace(key: "\(plural) \(key)", value: note)
  }

  private func note(of object: ObservedObject) -> JSON? {
    guard var note = teller.note(of: object) else { return nil }
    note.set(.string(object.uid), at: "uid")
    note.set(.string(object.resourceVersion), at: "version")
    return note
  }

  // MARK: Lists

  /// Takes note of what was there before the source, and tells nothing.
  private func keep(_ object: ObservedObject) {
    guard let note = note(of: object) else { return }
    let key = key(object)
    if let place = place(key, note) { firstNotes.append(place) }
    var entry = Known(note: note)
    setBody(object.bytes, in: &entry)
    known[key] = entry
  }

  private func listEnded(_ version: String) async {
    if isFirst {
      // In pieces, the cursor last: without it the next start begins again.
      var rest = firstNotes[...]
      while !rest.isEmpty {
        await store([], Array(rest.prefix(1000)))
        rest = rest.dropFirst(1000)
      }
      firstNotes = []
      isFirst = false
    } else {
      // No deletion is told for them (spec section A.5).
      for key in known.keys where !listed.contains(key) { await lose(key, nil) }
    }
    self.version = version
    listed = []
    await store([], [cursor(version)])
  }

  // MARK: Changes

  /// - Parameter kind: what the watch calls it; nil: found in a list.
  private func see(_ object: ObservedObject, of kind: ObjectChange.Kind?) async {
    let key = key(object)
    let old = known[key]
    let isSame = old?.note["uid"] == .string(object.uid)
    if isSame, var old, old.note["version"] == .string(object.resourceVersion) {
      // After a restart it may be seen for the first time.
      if old.body == nil {
        setBody(object.bytes, in: &old)
        known[key] = old
      }
      return
    }
    // Deleted and made again while nobody looked.
    if old != nil, !isSame { await lose(key, nil) }
    let before = isSame ? old : nil
    guard let note = note(of: object) else {
      if before != nil { await forget(key, object.resourceVersion) }
      return
    }
    let change = ObjectChange(
      kind: before == nil ? kind ?? .added : .updated,
      object: object,
      note: before?.note,
      body: before?.body
    )
    await store(
      teller.events(change),
      [place(key, note), kind == nil ? nil : cursor(object.resourceVersion)].compactMap { $0 }
    )
    var entry = Known(note: note, body: before?.body)
    setBody(object.bytes, in: &entry)
    known[key] = entry
    if kind != nil { version = object.resourceVersion }
  }

  /// It is gone.
  /// - Parameter last: nil: nobody told its last state.
  private func lose(_ key: String, _ last: ObservedObject?) async {
    guard let old = known[key] else {
      // Unknown, but its last state may tell something, such as the end of a short run.
      if let last, note(of: last) != nil { await tellLoss(key, last, nil, isTold: true) }
      return
    }
    guard let state = last ?? old.body.flatMap({ ObservedObject($0) }) ?? placeholder(key, old)
    else { return await forget(key, nil) }
    await tellLoss(key, state, old, isTold: last != nil)
  }

  /// - Parameter isTold: whether a watch brought it, which has got so far then.
  private func tellLoss(
    _ key: String,
    _ last: ObservedObject,
    _ old: Known?,
    isTold: Bool
  ) async {
    let change = ObjectChange(kind: .deleted, object: last, note: old?.note, body: old?.body)
    var places: [SourcePlace] = []
    if old != nil { places.append(SourcePlace(key: "\(plural) \(key)", value: nil)) }
    if isTold { places.append(cursor(last.resourceVersion)) }
    await store(teller.events(change), places)
    if isTold { version = last.resourceVersion }
    drop(key)
  }

  /// What is left of an object whose last state nobody has.
  private func placeholder(_ key: String, _ old: Known) -> ObservedObject? {
    let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    let object: JSON = [
      "metadata": [
        "namespace": .string(String(parts[0])), "name": .string(String(parts[1])),
        "uid": old.note["uid"] ?? "", "resourceVersion": old.note["version"] ?? "",
      ]
    ]
    return ObservedObject(object.encoded())
  }

  private func forget(_ key: String, _ version: String?) async {
    await store(
      [],
      [SourcePlace(key: "\(plural) \(key)", value: nil)] + (version.map { [cursor($0)] } ?? [])
    )
    drop(key)
  }

  private func drop(_ key: String) {
    bodyBytes -= known.removeValue(forKey: key)?.body?.count ?? 0
  }

  private func setBody(_ bytes: [UInt8], in entry: inout Known) {
    bodyBytes -= entry.body?.count ?? 0
    entry.body = nil
    guard teller.wantsBodies, bodyBytes + bytes.count <= Self.bodyBytesMax else { return }
    entry.body = bytes
    bodyBytes += bytes.count
  }

  /// Waits until it is durable, whatever that takes; nothing after a cancellation.
  private func store(_ events: [Event], _ places: [SourcePlace]) async {
    var wait = Duration.milliseconds(500)
    while !Task.isCancelled, !events.isEmpty || !places.isEmpty {
      do throws(SinkError) {
        _ = try await host.append(events, places: places, from: name)
        return
      } catch {
        if error == .tooLarge {
          host.log(
            .error,
            "an object is larger than the bus takes and is not told",
            [("source", "\(name)"), ("object", events.first?.id ?? "")]
          )
          return await store([], places)
        }
        host.log(
          .error,
          "a change of an object could not be stored; trying again",
          [("source", "\(name)"), ("error", "\(error)")]
        )
        await host.sleep(for: wait)
        wait = min(wait * 2, .seconds(30))
      }
    }
  }
}
