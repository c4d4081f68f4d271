package import Bus
package import Event

/// What every bus has to keep, whatever it is made of. A bus passes when `failures` is empty.
package struct BusSuite {
  /// Opens the bus; after a close it opens the same storage again.
  package let open: () async throws -> any Bus

  package init(open: @escaping () async throws -> any Bus) { self.open = open }

  /// Runs every check on one storage, in order.
  /// - Returns: what was not kept, in words.
  package func failures() async throws -> [String] {
    var failures: [String] = []
    func check(_ holds: Bool, _ promise: String) {
      if !holds { failures.append(promise) }
    }
    var bus = try await open()
    check(bus.committed == nil, "an empty bus has committed nothing")
    let first = try await bus.append([.event(sampleEvent("a")), .note(Note(kind: 9, bytes: [1]))])
    check(first.count == 2 && first.allSatisfy { !$0.isDuplicate }, "each draft has an answer")
    check(first[0].position < first[1].position, "drafts of one call keep their order")
    check(bus.committed == first[1].position, "what was acknowledged is committed")

    let again = try await bus.append([
      .event(sampleEvent("a")), .event(sampleEvent("b")), .event(sampleEvent("b")),
    ])
    check(
      again[0] == Appended(position: first[0].position, isDuplicate: true),
      "a duplicate answers where the first one is"
    )
    check(!again[1].isDuplicate && again[2].isDuplicate, "duplicates of one call are found")
    check(again[2].position == again[1].position, "they answer one position")

    var other = sampleEvent("a")
    other.source = "elsewhere"
    let foreign = try await bus.append([.event(other)])
    check(!foreign[0].isDuplicate, "the same id of another source is another event")

    let all = try bus.read(after: nil, limit: 100, bytes: 1 << 20)
    check(all.count == 4, "everything stored is read, once")
    check(all.map(\.position) == all.map(\.position).sorted(), "reading keeps the order")
    check(zip(all, all.dropFirst()).allSatisfy { $0.time <= $1.time }, "log time never goes back")
    check(all.first?.content == .event(sampleEvent("a")), "an event comes back as it was")
    check(all[1].content == .note(Note(kind: 9, bytes: [1])), "a note comes back as it was")
    check(
      try bus.read(after: first[0].position, limit: 2, bytes: 1 << 20) == Array(all[1...2]),
      "reading begins behind a position and keeps its limit"
    )
    check(try bus.read(after: nil, limit: 9, bytes: 1).count == 1, "one record at the least")
    check(try bus.record(at: all[2].position) == all[2], "a record is found by its position")
    check(
      bus.position(of: sampleEvent("b").identity) == again[1].position,
      "an event is found by its identity"
    )
    check(
      all.allSatisfy { Position($0.position.description) == $0.position },
      "positions can be printed and read"
    )

    let last = all[3].position
    check(await bus.waitForRecords(after: first[0].position), "no wait where there is more")
    let waiting = Task { [bus] in await bus.waitForRecords(after: last) }
    _ = try await bus.append([.event(sampleEvent("c"))])
    check(await waiting.value, "a waiter is woken by an append")
    let end = bus.committed
    let cancelled = Task { [bus] in await bus.waitForRecords(after: end) }
    cancelled.cancel()
    check(await !cancelled.value, "a cancelled waiter returns")

    let closing = Task { [bus] in await bus.waitForRecords(after: end) }
    await bus.close()
    check(await !closing.value, "a waiter returns when the bus closes")
    do throws(BusError) {
      _ = try await bus.append([.event(sampleEvent("d"))])
      failures.append("a closed bus refuses")
    } catch { check(error == .closed, "a closed bus says so") }

    bus = try await open()
    check(bus.committed == end, "what was committed still is after opening again")
    let reread = try bus.read(after: nil, limit: 100, bytes: 1 << 20)
    check(Array(reread.prefix(4)) == all, "records survive")
    check(
      try await bus.append([.event(sampleEvent("a"))])[0].isDuplicate,
      "duplicates are known after opening again"
    )
    await bus.close()
    return failures
  }
}

/// An event that differs by its id alone.
package func sampleEvent(_ id: String, bytes: Int = 16) -> Event {
  Event(
    id: id,
    source: "suite",
    type: "webhook",
    subject: "sample",
    time: Timestamp(nanoseconds: 1_700_000_000_000_000_000),
    data: [UInt8](repeating: 0x20, count: bytes),
    cause: nil
  )
}
