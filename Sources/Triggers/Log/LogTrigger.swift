import Event
import JSON
package import Manifest
package import Plugin

/// `log`: one line per event in the program's log (spec section 4.4).
package struct LogTrigger: Trigger {
  package struct Spec: ManifestBlock, Sendable {
    package init(from block: Block) {
      block.notSupportedYet("intervalSeconds")
      _ = block.node("payload")
      _ = block.node("parameters")
      block.finish()
    }
  }

  package static let kind = "log"
  package static let concurrency = 16
  package static let runsPrograms = false

  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    "a log trigger has no field that a parameter may set"
  }

  package init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {
    self.host = host
  }

  package func fire(_ firing: Firing) async -> Outcome {
    for (dependency, event) in firing.events {
      host.log(
        "event",
        [
          ("sensor", firing.sensor), ("trigger", firing.trigger), ("firing", firing.id.text),
          ("dependency", dependency), ("id", event.id), ("source", event.source),
          ("subject", event.subject),
          ("data", String(decoding: event.data.prefix(Self.dataBytes), as: UTF8.self)),
        ]
      )
    }
    return .done(result: .null)
  }

  /// Bytes of an event's data that a line shows.
  private static let dataBytes = 1024
}
