import Bus
import Event
import Expression
import HTTPClient
import Logging
import Observe
import Plugin
import Posix

/// What event sources get from the program.
struct BusSourceHost: SourceHost {
  let secrets: any SecretStore
  let bus: (any Bus)?
  /// nil where nothing runs.
  let key: InstallationKey?
  let instruments: Instruments
  let logger: Logger

  func append(_ event: Event, from name: EventSourceName) async throws(SinkError) -> Stored {
    guard let bus else { throw .unavailable("nothing is running") }
    do throws(BusError) {
      let appended = try await bus.append([.event(event)])
      let isDuplicate = appended.first?.isDuplicate ?? false
      let labels = ["\(name.namespace)/\(name.source)", name.event]
      (isDuplicate ? instruments.duplicates : instruments.appended).increment(labels)
      return Stored(isDuplicate: isDuplicate, otherID: appended.first?.otherID)
    } catch {
      if case .tooLarge = error { throw .tooLarge }
      logger.error("an event could not be stored", metadata: ["error": "\(error)"])
      throw .unavailable("\(error)")
    }
  }

  func cause(verifying header: String) -> Cause? { key?.cause(verifying: header) }

  func now() -> Timestamp { Timestamp(nanoseconds: wallClockNanoseconds()) }

  var world: TemplateWorld { .machine }

  func countRefused(_ name: EventSourceName, _ reason: String) {
    instruments.refused.increment(["\(name.namespace)/\(name.source)", name.event, reason])
    logger.info("refused a request", metadata: ["source": "\(name)", "reason": "\(reason)"])
  }
}

/// What triggers get from the program.
struct EngineTriggerHost: TriggerHost {
  let secrets: any SecretStore
  let logger: Logger
  /// nil where nothing is going to be fired.
  let http: HTTPClient?
  let allowOutbound: AllowList
  let key: InstallationKey?
  let jobs: String
  /// nil where nothing is going to be fired.
  let loop: EventLoop?

  func send(_ request: OutboundRequest) async throws(OutboundError) -> OutboundResponse {
    guard let http else { throw OutboundError(.cancelled, "nothing is running") }
    return try await http.send(request)
  }

  func causeHeader(_ firing: Firing) -> String {
    key?.header(firing.id, hops: firing.hops) ?? ""
  }

  /// Still this program when its file was replaced by a newer one.
  var program: String { "/proc/self/exe" }

  func waitForEnd(of process: ProcessHandle?, atMost limit: Duration?) async {
    await loop?.waitForEnd(of: process, atMost: limit)
  }

  func log(_ message: String, _ fields: [(String, String)]) {
    let metadata = fields.map { ($0.0, Logger.MetadataValue.string($0.1)) }
    logger.info("\(message)", metadata: Logger.Metadata(uniqueKeysWithValues: metadata))
  }
}
