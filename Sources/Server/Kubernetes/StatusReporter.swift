import Cluster
import Event
import JSON
import Logging
import Posix

/// Tells objects how they stand: their status when it differs from what it says, and with it a
/// Kubernetes event. What cannot be written is tried again until it is outdated.
actor StatusReporter {
  private let manifests: ClusterManifests
  private let events: ObjectEvents
  private let loop: EventLoop
  private let contact: Contact
  private let logger: Logger
  /// The newest verdict of each object, until it is told.
  private var pending: [ClusterDocument.Key: DocumentVerdict] = [:]
  private var task: Task<Void, Never>?
  private var isStopped = false

  private static let conflictsMax = 8
  private static let longestWait = Duration.seconds(30)

  init(
    _ manifests: ClusterManifests,
    loop: EventLoop,
    contact: Contact,
    logger: Logger
  ) {
    self.manifests = manifests
    self.loop = loop
    self.contact = contact
    self.logger = logger
    events = ObjectEvents()
  }

  func report(_ verdicts: [DocumentVerdict]) {
    pending = Dictionary(verdicts.map { ($0.key, $0) }) { _, last in last }
    guard task == nil, !isStopped else { return }
    task = Task { await self.work() }
  }

  func stop() async {
    isStopped = true
    task?.cancel()
    await task?.value
  }

  private func work() async {
    var failures = 0
    while let (key, verdict) = pending.first, !Task.isCancelled {
      do throws(ClusterError) {
        try await tell(verdict)
        failures = 0
        // Meanwhile there may be a newer one.
        if pending[key] == verdict { pending[key] = nil }
      } catch {
        if Task.isCancelled { break }
        if error.isTransient {
          contact.fail("status", error)
          let wait = Duration.milliseconds(500 << min(failures, 6))
          failures += 1
          await loop.sleep(for: max(min(wait, Self.longestWait), error.retryAfter ?? .zero))
        } else {
          if pending[key] == verdict { pending[key] = nil }
          logger.warning(
            "the status of an object could not be written",
            metadata: ["object": "\(key)", "error": "\(error)"]
          )
        }
      }
    }
    task = nil
  }

  private func tell(_ verdict: DocumentVerdict) async throws(ClusterError) {
    let (client, type) = try await manifests.type(of: verdict.key.kind)
    guard type.hasStatus else {
      throw ClusterError(.configuration, "\(type) has no status of its own: apply our CRDs")
    }
    let conditions = StatusConditions(verdict: verdict)
    guard var object = await manifests.object(verdict.key) else { return }
    var attempt = 0
    while true {
      // Another object of that name, or an edit: the verdict is outdated, and the next one is near.
      guard object.at("metadata", "uid")?.asString == verdict.uid,
        object.at("metadata", "generation")?.wholeNumber == verdict.generation,
        let status = conditions.status(over: object["status"] ?? .null, now: Self.now())
      else { return contact.restore("status") }
      do throws(ClusterError) {
        let written = try await client.patch(
          type,
          namespace: verdict.key.namespace,
          name: verdict.key.name,
          subresource: "status",
          .merge,
          [
            "metadata": ["resourceVersion": object.at("metadata", "resourceVersion") ?? .null],
            "status": status,
          ]
        )
        contact.restore("status")
        await manifests.note(written)
        await events.tell(conditions, of: written, client, now: Self.now(), logger)
        return
      } catch {
        if error.isNotFound { return contact.restore("status") }
        guard error.isConflict, attempt < Self.conflictsMax else { throw error }
        attempt += 1
      }
      do throws(ClusterError) {
        object = try await client.get(
          type,
          namespace: verdict.key.namespace,
          name: verdict.key.name
        )
      } catch {
        if error.isNotFound { return contact.restore("status") }
        throw error
      }
    }
  }

  private static func now() -> String {
    Timestamp(nanoseconds: wallClockNanoseconds()).wholeSeconds
  }
}
