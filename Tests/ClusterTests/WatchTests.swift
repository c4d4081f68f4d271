import Cluster
import JSON
import Posix
import Synchronization
import TestKit
import Testing

/// Changes of a watch, as they come.
private final class Seen: Sendable {
  private let state = Mutex<[WatchChange]>([])

  func add(_ change: WatchChange) { state.withLock { $0.append(change) } }

  var words: [String] {
    state.withLock { changes in
      changes.map { change in
        switch change {
        case .listBegan: "list"
        case .listed(let object): "listed \(object.name)"
        case .listEnded: "end"
        case .added(let object): "added \(object.name)"
        case .modified(let object): "modified \(object.name)"
        case .deleted(let object): "deleted \(object.name)"
        case .bookmark: "bookmark"
        }
      }
    }
  }

  /// Waits until `count` changes have come that are no bookmarks.
  func wait(for count: Int) async {
    while words.count(where: { $0 != "bookmark" }) < count { await Task.yield() }
  }
}

@Suite struct WatchTests {
  private func watching(
    _ bench: Bench,
    from version: String? = nil,
    _ seen: Seen,
    _ body: () async throws -> Void
  ) async throws {
    var timing = ObjectWatch.Timing()
    timing.shortestWait = .milliseconds(5)
    let watch = ObjectWatch(bench.client, bench.configMaps, namespace: "ci", timing: timing)
    let task = Task { await watch.run(from: version) { seen.add($0) } }
    var failure: (any Error)?
    do { try await body() } catch { failure = error }
    task.cancel()
    await task.value
    if let failure { throw failure }
  }

  private func put(_ bench: Bench, _ name: String) throws {
    try bench.cluster.put("configmaps", "ci", ["metadata": ["name": .string(name)]])
  }

  private func connected(_ bench: Bench) async {
    while bench.cluster.watcherCount == 0 { await Task.yield() }
  }

  @Test(
    "A.5: a list, then every change, with a token and with a certificate",
    arguments: ["token", "certificate"]
  )
  func listAndWatch(context: String) async throws {
    try await Bench.run(context: context) { bench in
      try put(bench, "a")
      let seen = Seen()
      try await watching(bench, seen) {
        await seen.wait(for: 3)
        try put(bench, "b")
        bench.cluster.change("configmaps", "ci", "b") { $0.set("1", at: "data", "x") }
        bench.cluster.remove("configmaps", "ci", "a")
        await seen.wait(for: 6)
      }
      #expect(seen.words == ["list", "listed a", "end", "added b", "modified b", "deleted a"])
    }
  }

  @Test("A.5: the end of a stream is resumed where it was, and nothing comes twice")
  func resumes() async throws {
    try await Bench.run { bench in
      let seen = Seen()
      try await watching(bench, seen) {
        await connected(bench)
        try put(bench, "a")
        await seen.wait(for: 3)
        bench.cluster.endWatches()
        try put(bench, "b")
        await seen.wait(for: 4)
      }
      #expect(seen.words == ["list", "end", "added a", "added b"])
    }
  }

  @Test(
    "A.5: 410 in both forms leads to a new list; what vanished meanwhile is not in it",
    arguments: [TestCluster.Gone.status, .event]
  )
  func gone(form: TestCluster.Gone) async throws {
    try await Bench.run { bench in
      bench.cluster.setGone(form)
      try put(bench, "a")
      try put(bench, "b")
      let seen = Seen()
      try await watching(bench, seen) {
        await seen.wait(for: 4)
        await connected(bench)
        // Both happen while nobody watches, and are forgotten.
        bench.cluster.endWatches()
        bench.cluster.failNext("GET", "watch=1", code: 500, reason: "InternalError")
        bench.cluster.remove("configmaps", "ci", "a")
        try put(bench, "c")
        bench.cluster.expireHistory()
        await seen.wait(for: 8)
      }
      #expect(seen.words.prefix(4) == ["list", "listed a", "listed b", "end"])
      #expect(seen.words.contains("listed c") || seen.words.contains("added c"))
    }
  }

  @Test("A.5: a bookmark moves the resume point past what the selector left out")
  func bookmarks() async throws {
    try await Bench.run { bench in
      let seen = Seen()
      try await watching(bench, seen) {
        await connected(bench)
        bench.cluster.sendBookmarks("configmaps")
        while !seen.words.contains("bookmark") { await Task.yield() }
        bench.cluster.endWatches()
        try put(bench, "a")
        await seen.wait(for: 3)
      }
      #expect(seen.words == ["list", "end", "bookmark", "added a"])
    }
  }

  @Test(
    "A.5: other errors inside a stream wait and go on from the same place",
    arguments: [429, 500, 504]
  )
  func errors(code: Int) async throws {
    try await Bench.run { bench in
      let seen = Seen()
      try await watching(bench, seen) {
        await connected(bench)
        bench.cluster.breakWatches(code: code, reason: "ServerTimeout")
        try put(bench, "a")
        await seen.wait(for: 3)
      }
      #expect(seen.words == ["list", "end", "added a"])
    }
  }

  @Test("A.5: a watch begins at a version it is given, without a list")
  func fromVersion() async throws {
    try await Bench.run { bench in
      try put(bench, "a")
      let page = try await bench.client.page(bench.configMaps, namespace: "ci", query: [])
      let version = try #require(page.at("metadata", "resourceVersion")?.asString)
      try put(bench, "b")
      let seen = Seen()
      try await watching(bench, from: version, seen) { await seen.wait(for: 1) }
      #expect(seen.words == ["added b"])
    }
  }

  @Test("any number of followers of one kind and namespace share one watch")
  func followers() async throws {
    try await Bench.run { bench in
      let followers = Followers(bench.client)
      let type = bench.configMaps
      for number in 0..<20 { try put(bench, "m\(number)") }
      try await withThrowingTaskGroup(of: String?.self) { group in
        for number in 0..<20 {
          group.addTask {
            await followers.follow(type, namespace: "ci", name: "m\(number)", patience: { nil }) {
              sighting in
              switch sighting {
              case .present(let object): object.at("data", "done")?.asString
              case .gone(let last): last == nil ? "gone" : "deleted"
              case .nothing: nil
              }
            }
          }
        }
        await connected(bench)
        // One that comes late looks for itself.
        group.addTask {
          await followers.follow(type, namespace: "ci", name: "absent", patience: { nil }) {
            if case .gone = $0 { return "absent" }
            return nil
          }
        }
        for number in 0..<20 {
          bench.cluster.change("configmaps", "ci", "m\(number)") {
            $0.set("yes", at: "data", number == 3 ? "other" : "done")
          }
        }
        bench.cluster.remove("configmaps", "ci", "m3")
        var results: [String] = []
        for try await result in group { results.append(result ?? "cancelled") }
        #expect(results.count { $0 == "yes" } == 19)
        #expect(results.count { $0 == "deleted" } == 1)
        #expect(results.count { $0 == "absent" } == 1)
      }
      #expect(bench.cluster.requests.count { $0.contains("watch=1") } == 1)
      await followers.close()
    }
  }
}
