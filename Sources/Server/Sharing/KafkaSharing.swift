import KafkaBus
import KafkaClient
import Logging
import Plugin
import Posix

/// Runs this process's part of a bus whose work is shared: it listens like all others, and runs the
/// partitions that the group gives it.
struct KafkaSharing {
  private let service: Service
  private let spec: KafkaBusSpec
  private let startup: Startup

  /// Brokers refuse the topics as they have to be.
  private static let lasting = ["POLICY_VIOLATION", "INVALID_CONFIG", "INVALID_REPLICATION_FACTOR"]

  init(_ service: Service, _ spec: KafkaBusSpec, _ startup: Startup) {
    (self.service, self.spec, self.startup) = (service, spec, startup)
  }

  /// Returns when the program is to stop.
  /// - Throws: what no waiting mends.
  func run() async throws {
    let loop = try EventLoop(name: "bus")
    defer { loop.stop() }
    let access = try KafkaBusAccess(
      spec,
      loop: loop,
      logger: service.logger
    )
    guard try await prepare(access) else { return }
    let intake = SharedIntake(
      KafkaIntake(topic: spec.topic, loop: loop, observer: access.observer) {
        try access.settings()
      },
      EventRouting([], partitions: spec.partitions)
    )
    do { try await serve(intake, access) } catch {
      await intake.close()
      throw error
    }
    await intake.close()
  }

  private func serve(_ intake: SharedIntake, _ access: KafkaBusAccess) async throws {
    let front = try await Front(service, startup, intake, partitions: spec.partitions)
    defer { front.stopLoops() }
    do { try await front.start() } catch {
      await front.stop()
      throw error
    }
    try await serve(front, intake, access)
  }

  /// Makes what is missing on the brokers, as soon as they can be had.
  /// - Returns: false when the program is to stop meanwhile.
  private func prepare(_ access: KafkaBusAccess) async throws -> Bool {
    var backoff = Backoff()
    while true {
      do {
        try await access.prepare()
        return true
      } catch let error where passes(error) {
        access.note(.error, "the bus cannot be had; trying again: \(error)")
      }
      if await service.stops(within: backoff.next(), on: startup.loop) { return false }
    }
  }

  /// Whether waiting may mend it. In a cluster Secrets come and go.
  private func passes(_ error: any Error) -> Bool {
    if let error = error as? KafkaError { return !Self.lasting.contains(error.name) }
    return startup.kubernetes != nil && (error is SecretError || error is KafkaSettingError)
  }

  // MARK: Serving

  private func serve(
    _ front: Front,
    _ intake: SharedIntake,
    _ access: KafkaBusAccess
  ) async throws {
    let trouble = try LastingTrouble()
    let owned = OwnedPartitions(trouble) { [service, startup, spec] partition in
      let share = PartitionShare(
        partition: partition,
        partitions: spec.partitions,
        loops: front.loops,
        limits: front.limits,
        key: front.key,
        intake: intake,
        figures: front.figures,
        openInbox: {
          var access = access
          access.partition = partition
          return try KafkaInbox(
            try access.settings(),
            loop: access.loop,
            observer: access.observer
          )
        }
      )
      return PartitionTenure(service, startup, share, spec, access.loop, trouble)
    }
    let watch = ManifestWatch(
      paths: service.configuration.manifests,
      loop: startup.loop,
      bell: startup.changed,
      logger: service.logger
    )
    let watching =
      service.configuration.watchesManifests && startup.kubernetes == nil
      ? Task { await watch.run() } : nil
    let electing = Task { await elect(owned, access) }
    var isStopping = false
    while !isStopping {
      switch await startup.loop.readable(
        of: [service.stopping, service.reloading, startup.changed.raw, trouble.bell.raw]
      ) {
      case service.reloading: _ = await front.reload()
      case startup.changed.raw: await front.reloadIfChanged()
      default: isStopping = true
      }
    }
    service.report("shutting down")
    watching?.cancel()
    await watching?.value
    // Requests that were accepted are stored; then others may have the partitions.
    await front.stop()
    electing.cancel()
    await electing.value
    if let error = trouble.error { throw error }
  }

  /// Takes part in the election until the task is cancelled; then gives up what it owns.
  private func elect(_ owned: OwnedPartitions, _ access: KafkaBusAccess) async {
    var backoff = Backoff()
    while !Task.isCancelled {
      do {
        let election = try KafkaElection(
          try access.settings(),
          loop: access.loop,
          observer: access.observer
        )
        let failure = await member(election, owned) { backoff.reset() }
        await owned.end()
        await election.leave()
        guard let failure else { return }
        access.note(.error, "left the group of the bus; joining again: \(failure)")
      } catch {
        access.note(.error, "cannot join the group of the bus; trying again: \(error)")
      }
      await startup.loop.sleep(for: backoff.next())
    }
  }

  /// - Returns: why the client is of no use any more; nil when the task was cancelled.
  private func member(
    _ election: KafkaElection,
    _ owned: OwnedPartitions,
    joined: () -> Void
  ) async -> KafkaError? {
    do throws(KafkaError) {
      try await election.join()
      while !Task.isCancelled {
        switch try await election.next() {
        case .given(let partitions)?:
          joined()
          for partition in partitions { await owned.begin(partition) }
          service.report("owns partitions \(partitions) of the bus")
        case .taken(let partitions)?:
          service.report("gives up partitions \(partitions) of the bus")
          await owned.end(partitions)
        case nil: break
        }
      }
      return nil
    } catch { return error }
  }
}

/// The partitions that run here, each a task.
actor OwnedPartitions {
  private let trouble: LastingTrouble
  private let tenure: @Sendable (Int) -> PartitionTenure
  private var running: [Int: (taken: Bell, task: Task<Void, Never>)] = [:]
  /// Those that end, by partition: the folder is in use until then.
  private var ending: [Int: Task<Void, Never>] = [:]

  init(_ trouble: LastingTrouble, _ tenure: @escaping @Sendable (Int) -> PartitionTenure) {
    self.trouble = trouble
    self.tenure = tenure
  }

  func begin(_ partition: Int) {
    guard running[partition] == nil else { return }
    let taken: Bell
    do throws(SystemError) { taken = try Bell() } catch { return trouble.tell(error) }
    let before = ending[partition]
    let tenure = tenure(partition)
    let task = Task {
      await before?.value
      await tenure.run(until: taken)
    }
    running[partition] = (taken, task)
  }

  /// Has them end and does not wait: whoever owns them next shuts this process out anyway.
  func end(_ partitions: [Int]) {
    for partition in partitions {
      guard let (taken, task) = running.removeValue(forKey: partition) else { continue }
      taken.ring()
      ending[partition] = task
    }
  }

  /// Ends all of them and waits until they have let go of their folders.
  func end() async {
    end(Array(running.keys))
    for task in ending.values { await task.value }
    ending = [:]
  }
}
