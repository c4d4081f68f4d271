import CRdKafka
import Posix

extension KafkaConsumer {
  // MARK: Partitions

  /// What brokers and the group know of partitions. Waits for brokers.
  /// - Throws: `KafkaError` when one of them cannot be had within `limit`.
  package func marks(
    of places: [KafkaPartition],
    within limit: Duration
  ) async throws(KafkaError) -> [KafkaPartition: KafkaMarks] {
    let client = unsafe Client(handle.raw)
    let isGroup = isMember
    blockingCalls += 1
    // librdkafka keeps to its limit by itself; ours is for a librdkafka that does not.
    let result = await loop.onThread("kafka-marks", within: limit + .seconds(5)) {
      let result = Result { () throws(KafkaError) in
        try client.marks(of: places, isGroup: isGroup, within: limit)
      }
      self.loop.post { self.assumeIsolated { $0.blockingCalls -= 1 } }
      return result
    }
    guard let result else { throw .timedOut }
    return try result.get()
  }

  /// The offset after the last message, as far as reading has shown; nil when it has not.
  package func end(of place: KafkaPartition) -> Int64? {
    var (low, high): (Int64, Int64) = (0, 0)
    let code = unsafe rd_kafka_get_watermark_offsets(
      handle.raw,
      place.topic,
      place.partition,
      &low,
      &high
    )
    return code == RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0 ? high : nil
  }

  /// Reads these partitions from these offsets on, besides those that are read already. One that
  /// is read already goes on at its new offset.
  /// - Parameter others: where the partitions that are read already stand.
  package func assign(
    _ offsets: [KafkaOffset],
    others: [KafkaOffset] = []
  ) throws(KafkaError) {
    let places = Set(offsets.map(\.place))
    if isCooperative {
      let again = PartitionList(Array(places.intersection(assigned)))
      if !again.entries.isEmpty {
        try unsafe check(rd_kafka_incremental_unassign(handle.raw, again.raw))
      }
      let list = PartitionList(offsets)
      try unsafe check(rd_kafka_incremental_assign(handle.raw, list.raw))
    } else {
      let list = PartitionList(offsets + others.filter { !places.contains($0.place) })
      try check(unsafe rd_kafka_assign(handle.raw, list.raw))
    }
    assigned.formUnion(places)
    forgetUnreadable(in: places)
  }

  /// Gives partitions up.
  package func unassign(_ places: [KafkaPartition]) throws(KafkaError) {
    // Also of a commit that is under way: if it fails it must not be sent again when the partition
    // has come back from somebody who committed more.
    for place in places {
      toCommit[place] = nil
      committing[place] = nil
    }
    if isCooperative {
      assigned.subtract(places)
      let list = PartitionList(places)
      try unsafe check(rd_kafka_incremental_unassign(handle.raw, list.raw))
    } else {
      assigned = []
      try check(unsafe rd_kafka_assign(handle.raw, nil))
    }
  }

  /// Stops reading without leaving the group, or goes on.
  package func pause(_ isPaused: Bool) {
    if isPaused {
      paused.formUnion(assigned)
      let list = PartitionList(Array(assigned))
      unsafe rd_kafka_pause_partitions(handle.raw, list.raw)
    } else {
      // Also those that were given up meanwhile: librdkafka would remember when they come back.
      let list = PartitionList(Array(paused))
      unsafe rd_kafka_resume_partitions(handle.raw, list.raw)
      paused = []
    }
  }

  /// Whether the group's members give up only what moves.
  private var isCooperative: Bool {
    guard let name = unsafe rd_kafka_rebalance_protocol(handle.raw) else { return false }
    return unsafe String(cString: name) == "COOPERATIVE"
  }

  private func check(_ code: rd_kafka_resp_err_t) throws(KafkaError) {
    if code != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaError(code) }
  }

  @unsafe private func check(_ error: OpaquePointer?) throws(KafkaError) {
    if let error = unsafe error { throw unsafe KafkaError(taking: error) }
  }

  // MARK: Commits

  /// Tells the group that everything before these offsets is done, and waits for its answer.
  /// - Throws: `KafkaError`; whether the group knows is then open.
  package func commit(
    _ offsets: [KafkaOffset],
    within limit: Duration = .seconds(5)
  ) async throws(KafkaError) {
    guard !offsets.isEmpty else { return }
    guard !isClosed else { throw .closed }
    commitNumber += 1
    let number = commitNumber
    try handle.commit(offsets, number: number)
    let error = await withCheckedContinuation { continuation in
      let timer = loop.timer(after: limit) { [unowned self] in
        assumeIsolated { $0.committed(number, .timedOut) }
      }
      commits[number] = (continuation, timer)
    }
    if let error { throw error }
  }

  /// Tells the group the same in its own time: while an answer is awaited, later offsets take the
  /// place of earlier ones.
  package func commitLater(_ offsets: [KafkaOffset]) {
    for entry in offsets { toCommit[entry.place] = entry.offset }
    sendCommit()
  }

  private func sendCommit() {
    guard commitUnderWay == nil, !toCommit.isEmpty, !isClosed else { return }
    commitNumber += 1
    commitUnderWay = commitNumber
    let offsets = toCommit.map { KafkaOffset($0.key, $0.value) }
    committing = toCommit
    toCommit = [:]
    do throws(KafkaError) { try handle.commit(offsets, number: commitNumber) } catch {
      commitFailed(error)
    }
  }

  /// Without another attempt the group would stay behind until the next message.
  private func commitFailed(_ error: KafkaError) {
    commitUnderWay = nil
    handle.report(error)
    toCommit = committing.filter { assigned.contains($0.key) }.merging(toCommit) { $1 }
    loop.timer(after: .milliseconds(500)) { [weak self] in
      self?.assumeIsolated { $0.sendCommit() }
    }
  }

  func committed(_ number: Int, _ error: KafkaError?) {
    if number == commitUnderWay {
      commitUnderWay = nil
      if let error { commitFailed(error) } else { sendCommit() }
    }
    guard let (continuation, timer) = commits.removeValue(forKey: number) else { return }
    timer.cancel()
    continuation.resume(returning: error)
  }

  // MARK: The end

  /// Leaves the group and frees everything. What was not committed comes again, to whoever reads
  /// the partition next.
  /// - Returns: false when brokers or librdkafka took longer than `limit`, or the group longer than
  ///   it is waited for: librdkafka's client then ends by itself later, or is left behind, and the
  ///   group notices after `session.timeout.ms`.
  @discardableResult
  package func close(within limit: Duration = .seconds(5)) async -> Bool {
    guard !isClosed else { return true }
    isClosed = true
    keepAlive?.cancel()
    wake(.failed(.closed))
    let deadline = MonotonicTime.now() + limit
    // A member that waits to be let in is answered once all others have come together, which may
    // take minutes, and the broker does not hear it before. It holds nothing that others wait for.
    let patience = assigned.isEmpty ? min(limit, Self.patienceWithoutPartitions) : limit
    let hasLeft = await leave(until: MonotonicTime.now() + patience)
    for number in commits.keys { committed(number, .closed) }
    handle.drain()
    guard blockingCalls == 0 else {
      handle.abandon()
      return false
    }
    guard mayBeDestroyed else {
      handle.abandon()
      return hasLeft
    }
    let left = hasLeft ? max(.seconds(1), deadline - MonotonicTime.now()) : .seconds(1)
    return await handle.destroy(within: left) && hasLeft
  }

  private static let patienceWithoutPartitions = Duration.seconds(1)

  private func leave(until deadline: MonotonicTime) async -> Bool {
    guard isMember, handle.fatal == nil else { return true }
    handle.onRevoked = { [unowned self] places in
      assumeIsolated { consumer in
        // A closing client may refuse; what follows frees the partitions anyhow.
        do throws(KafkaError) { try consumer.unassign(places) } catch {
          consumer.handle.report(error)
        }
      }
    }
    do throws(KafkaError) { try handle.beginClose() } catch {
      handle.report(error)
      return false
    }
    while !handle.hasLeft, MonotonicTime.now() < deadline {
      handle.drain()
      // The last step of leaving announces itself only to librdkafka's own call.
      await loop.sleep(for: .milliseconds(5))
    }
    return handle.hasLeft
  }
}
