/// What holds a trigger's firings back and which events make one: `rateLimit`, and what a trigger
/// says under `signalbox`.
package struct FlowManifest: Sendable {
  package struct Rate: Sendable, Equatable {
    /// Between two firings in the long run.
    package let spacing: Duration
    /// nil: the default.
    package let burst: Int?
  }

  package struct Concurrency: Sendable {
    package let limit: Int
    package let mode: String
    package let key: KeyManifest?
  }

  package struct Correlate: Sendable {
    package let key: KeyManifest?
    package let within: Duration?
    package let mode: String
    package let atLeast: Int?
  }

  package struct Absent: Sendable {
    package let after: String
    package let within: Duration
    package let key: KeyManifest?
  }

  package struct Batch: Sendable {
    package let count: Int
    package let within: Duration?
    package let key: KeyManifest?
  }

  package struct Debounce: Sendable {
    package let wait: Duration
    package let max: Duration?
    package let key: KeyManifest?
  }

  package struct Throttle: Sendable {
    package let limit: Int
    package let per: Duration
    package let key: KeyManifest?
  }

  package var rate: Rate?
  package var concurrency: Concurrency?
  package var delay = Duration.zero
  package var isSuspended = false
  package var correlate: Correlate?
  package var absent: Absent?
  package var batch: Batch?
  package var debounce: Debounce?
  package var throttle: Throttle?
  package let mark: Mark
  /// The path of `signalbox` from the document's root.
  package let path: String

  /// Events that a firing holds at most, and that a batch waits for.
  package static let eventsMax = 1000
}

/// `key`: one selector for all dependencies, or one each.
package struct KeyManifest: Sendable {
  /// A path into an event's data, or a template over it where it has `{{`.
  package let all: String?
  package let byDependency: [(key: String, value: String)]
  package let mark: Mark
  package let path: String
}

extension DocumentReader {
  /// `rateLimit` (spec section 4.6), and `burst` under `signalbox` inside it.
  func rateLimit(_ block: Block) -> FlowManifest.Rate? {
    let units: [String: Duration] = [
      "Second": .seconds(1), "Minute": .seconds(60), "Hour": .seconds(3600),
    ]
    let unit = block.string("unit") ?? ""
    if units[unit] == nil, !unit.isEmpty {
      block.error("unit", "found '\(unit)', expected one of Hour, Minute, Second")
    }
    let count = block.integer("requestsPerUnit", in: 1...1_000_000)
    if count == nil, !block.contains("requestsPerUnit") {
      block.error("requestsPerUnit", "found nothing, expected a number")
    }
    let own = block.block("signalbox")
    let burst = own?.integer("burst", in: 1...1_000_000)
    own?.finish()
    block.finish()
    let whole = units[unit.isEmpty ? "Second" : unit]
    guard let count, let whole else { return nil }
    return FlowManifest.Rate(spacing: whole / count, burst: burst)
  }

  /// What a trigger says under `signalbox`.
  func flow(_ block: Block, _ dependencies: [String]) -> FlowManifest {
    let own = block.block("signalbox")
    var flow = FlowManifest(mark: own?.mark ?? block.mark, path: block.child("signalbox"))
    guard let own else { return flow }
    own.notSupportedYet("compat")
    flow.delay = positive(own, "delay") ?? .zero
    flow.isSuspended = own.bool("suspend") ?? false
    flow.concurrency = own.block("concurrency").flatMap(concurrency)
    flow.correlate = own.block("correlate").flatMap { correlate($0, dependencies) }
    flow.absent = own.block("absent").flatMap { absent($0, dependencies) }
    flow.batch = own.block("batch").flatMap(batch)
    flow.debounce = own.block("debounce").flatMap(debounce)
    flow.throttle = own.block("throttle").flatMap(throttle)
    checkTogether(own, ["correlate", "absent", "batch"])
    checkTogether(own, ["debounce", "throttle"])
    for one in ["absent", "batch"] where own.contains(one) {
      for other in ["debounce", "throttle"] where own.contains(other) {
        own.error(other, "is not supported yet beside \(one)")
      }
    }
    own.finish()
    return flow
  }

  private func checkTogether(_ block: Block, _ keys: [String]) {
    let found = keys.filter { block.contains($0) }
    if found.count > 1 {
      block.error(
        found[1],
        "found beside \(found[0]), expected one of \(found.joined(separator: ", "))"
      )
    }
  }

  private func concurrency(_ block: Block) -> FlowManifest.Concurrency? {
    let limit = required(block, "limit", in: 1...10_000)
    let mode = block.string("mode") ?? "queue"
    if !["queue", "skip", "cancelOlder"].contains(mode) {
      block.error("mode", "found '\(mode)', expected one of cancelOlder, queue, skip")
    }
    let key = key(block)
    block.finish()
    return limit.map { FlowManifest.Concurrency(limit: $0, mode: mode, key: key) }
  }

  private func correlate(_ block: Block, _ names: [String]) -> FlowManifest.Correlate? {
    let within = positive(block, "within")
    let mode = block.string("mode") ?? "latest"
    if !["latest", "exact", "all"].contains(mode) {
      block.error("mode", "found '\(mode)', expected one of all, exact, latest")
    }
    let least = block.integer("atLeast", in: 1...max(1, names.count))
    let key = key(block)
    block.finish()
    return FlowManifest.Correlate(key: key, within: within, mode: mode, atLeast: least)
  }

  private func absent(_ block: Block, _ names: [String]) -> FlowManifest.Absent? {
    let after = block.requiredString("after")
    if !after.isEmpty, !names.contains(after) {
      block.error("after", "found '\(after)', expected one of \(names.joined(separator: ", "))")
    }
    let within = positive(block, "within")
    if within == nil, !block.contains("within") {
      block.error("within", "found nothing, expected a duration")
    }
    let key = key(block)
    block.finish()
    return within.map { FlowManifest.Absent(after: after, within: $0, key: key) }
  }

  private func batch(_ block: Block) -> FlowManifest.Batch? {
    let count = block.integer("count", in: 1...FlowManifest.eventsMax)
    let within = positive(block, "within")
    if !block.contains("count"), !block.contains("within") {
      block.error(nil, "found neither count nor within, expected one of them at least")
    }
    let key = key(block)
    block.finish()
    return FlowManifest.Batch(count: count ?? FlowManifest.eventsMax, within: within, key: key)
  }

  private func debounce(_ block: Block) -> FlowManifest.Debounce? {
    let wait = positive(block, "wait")
    if wait == nil, !block.contains("wait") {
      block.error("wait", "found nothing, expected a duration")
    }
    let most = positive(block, "max")
    if let wait, let most, most < wait {
      block.error("max", "found \(most), expected at least wait, which is \(wait)")
    }
    let key = key(block)
    block.finish()
    return wait.map { FlowManifest.Debounce(wait: $0, max: most, key: key) }
  }

  private func throttle(_ block: Block) -> FlowManifest.Throttle? {
    let limit = block.integer("limit", in: 1...1_000_000) ?? 1
    let per = positive(block, "per")
    if per == nil, !block.contains("per") {
      block.error("per", "found nothing, expected a duration")
    }
    let key = key(block)
    block.finish()
    return per.map { FlowManifest.Throttle(limit: limit, per: $0, key: key) }
  }

  private func key(_ block: Block) -> KeyManifest? {
    guard let node = block.node("key") else { return nil }
    var all: String?
    var each: [(key: String, value: String)] = []
    switch node.value {
    case .string(let text) where !text.isEmpty: all = text
    case .mapping: each = block.stringMap("key") ?? []
    default:
      block.error(
        "key",
        "found \(node.kindName), expected a path, a template or a mapping of these"
      )
      return nil
    }
    return KeyManifest(
      all: all,
      byDependency: each,
      mark: block.mark(of: "key"),
      path: block.child("key")
    )
  }

  /// A duration above zero and below a year; nil where there is none.
  private func positive(_ block: Block, _ key: String) -> Duration? {
    guard let duration = block.duration(key) else { return nil }
    if duration > .zero, duration <= .seconds(366 * 86_400) { return duration }
    block.error(key, "found \(duration), expected more than 0s and at most 8784h")
    return nil
  }

  private func required(_ block: Block, _ key: String, in range: ClosedRange<Int>) -> Int? {
    if !block.contains(key) { block.error(key, "found nothing, expected a number") }
    return block.integer(key, in: range)
  }
}
