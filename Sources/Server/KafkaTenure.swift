import KafkaBus
import KafkaClient
import Logging
import Plugin
import Posix

/// Runs installations on a bus on Kafka: one while this process owns the bus; before and after, it
/// stands by.
struct KafkaTenure {
  private let service: Service
  private let spec: KafkaBusSpec
  private let startup: Startup

  init(_ service: Service, _ spec: KafkaBusSpec, _ startup: Startup) {
    (self.service, self.spec, self.startup) = (service, spec, startup)
  }

  /// Returns when the program is to stop.
  /// - Throws: what no waiting mends.
  func run() async throws {
    let loop = try EventLoop(name: "bus")
    defer { loop.stop() }
    let log = StandbyLog(service, startup)
    var startup = startup
    // One that waited for something else says so.
    await startup.standby?.end()
    let result = await Result { try await rounds(loop, log, &startup) }
    await startup.standby?.end()
    try result.get()
  }

  private func rounds(
    _ loop: EventLoop,
    _ log: StandbyLog,
    _ startup: inout Startup
  ) async throws {
    var backoff = Backoff()
    while true {
      if startup.standby?.isOver != false {
        startup.standby = await Standby(service, startup) {
          "standing by: another process owns the bus, or brokers are away\(log.words)"
        }
      }
      let access = try KafkaBusAccess(spec, loop: loop, logger: service.logger)
      startup.kafkaBus = access
      do {
        let end = try await round(access, startup, log)
        guard end == .lost else { return }
        backoff.reset()
        service.report("the bus is another process's, or has to be read anew: standing by")
      } catch let error where passes(error) {
        access.note(.error, "the bus cannot be had; trying again: \(error)")
      }
      if await service.stops(within: backoff.next(), on: startup.loop) { return }
    }
  }

  /// Whether waiting may mend it. In a cluster Secrets come and go.
  private func passes(_ error: any Error) -> Bool {
    error is KafkaError || error is KafkaTransactionError
      || startup.kubernetes != nil && (error is SecretError || error is KafkaSettingError)
  }

  /// Waits for a bell or for the end of the program. Manifests are read when the bus is won.
  private func firstOf(_ bells: Bell...) async -> Int32? {
    while true {
      let found = await startup.loop.readable(
        of: bells.map(\.raw) + [service.stopping, service.reloading]
      )
      if found != service.reloading { return found }
    }
  }

  /// Takes part in the election once, and runs while this process is the owner.
  private func round(
    _ access: KafkaBusAccess,
    _ startup: Startup,
    _ log: StandbyLog
  ) async throws -> Service.End {
    let settings = try access.settings()
    try await access.prepare()
    let election = try KafkaElection(settings, loop: access.loop, observer: access.observer)
    let (won, lost) = (try Bell(), access.lost)
    do { try await election.join() } catch {
      await election.leave()
      throw error
    }
    let watching = Task {
      if await election.won() == .owner {
        won.ring()
        _ = await election.lost()
      }
      lost.ring()
    }
    let result = await Result { () async throws -> Service.End in
      service.report("standing by for the bus")
      let first = try await log.whileCopying(access) { await firstOf(won, lost) }
      if first == service.stopping {
        service.report("shutting down")
        return .stopped
      }
      if first == lost.raw { return .lost }
      service.report("this process owns the bus on \(settings.topic)")
      return try await service.run(startup, lost: lost)
    }
    watching.cancel()
    await election.leave()
    await watching.value
    return try result.get()
  }
}

extension Result where Failure == any Error, Success: Sendable {
  fileprivate init(_ body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
