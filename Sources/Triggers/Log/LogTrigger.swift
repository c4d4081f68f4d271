import Event
import JSON
package import Manifest
package import Plugin
import Posix
import Synchronization

/// `log`: one line per event in the program's log (spec section 4.4).
package struct LogTrigger: Trigger {
  package struct Spec: ManifestBlock, Sendable {
    /// Zero: every firing is written.
    let interval: Duration

    package init(from block: Block) {
      interval = .seconds(block.integer("intervalSeconds", in: 0...31_536_000) ?? 0)
      _ = block.node("payload")
      _ = block.node("parameters")
      block.finish()
    }
  }

  package static let kind = "log"
  package static let concurrency = 16
  package static let runsPrograms = false

  private let host: any TriggerHost
  private let interval: Duration
  private let quiet = Quiet()

  /// What was left out since a line was written.
  private final class Quiet: Sendable {
    private let state = Mutex<(until: MonotonicTime?, suppressed: Int)>((nil, 0))

    /// How many firings were left out before this one; nil when it is left out too.
    func pass(_ interval: Duration, at now: MonotonicTime) -> Int? {
      state.withLock { state in
        if let until = state.until, now < until {
          state.suppressed += 1
          return nil
        }
        defer { state = (now + interval, 0) }
        return state.suppressed
      }
    }
  }

  package static func refusal(ofParameter destination: String) -> String? {
    "a log trigger has no field that a parameter may set"
  }

  package init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {
    self.host = host
    interval = spec.interval
  }

  package func fire(_ firing: Firing) async -> Outcome {
    guard let suppressed = quiet.pass(interval, at: .now()) else { return .done(result: .null) }
    let left: [(String, String)] = suppressed == 0 ? [] : [("suppressed", "\(suppressed)")]
    for (dependency, event) in firing.events {
      host.log(
        "event",
        [
          ("sensor", firing.sensor), ("trigger", firing.trigger), ("firing", firing.id.text),
          ("dependency", dependency), ("id", event.id), ("source", event.source),
          ("subject", event.subject),
          ("data", String(decoding: event.data.prefix(Self.dataBytes), as: UTF8.self)),
        ] + left
      )
    }
    return .done(result: .null)
  }

  /// Bytes of an event's data that a line shows.
  private static let dataBytes = 1024
}
