import Bus
import Engine
import Event
import EventLog
import Expression
import JSON
import Logging
import Manifest
import MatchingWorkload
import Plugin
import Posix
import Sensor
import Synchronization

/// Takes note of when the last of so many firings came.
private final class Counting: Trigger {
  struct Spec: ManifestBlock {
    init(from block: Block) {}
  }

  static let kind = "counting"
  static let concurrency = 64
  static let runsPrograms = false
  static func refusal(ofParameter destination: String) -> String? { nil }

  private let state: Mutex<(left: Int, end: ContinuousClock.Instant?)>
  var end: ContinuousClock.Instant? { state.withLock { $0.end } }
  var left: Int { state.withLock { $0.left } }

  init(_ count: Int) { state = Mutex((count, nil)) }

  init(_ spec: Spec, original: Spec?, host: any TriggerHost, _ block: Block) {
    state = Mutex((0, nil))
  }

  func fire(_ firing: Firing) async -> Outcome {
    state.withLock { state in
      state.left -= 1
      if state.left == 0 { state.end = .now }
    }
    return .done(result: .null)
  }
}

/// From events on a log to the call of a trigger: one dependency with a data filter, every event
/// fires. Outcomes go to the log meanwhile, as in earnest.
/// - Returns: events a second.
func throughput(events count: Int) async throws -> Double {
  let folder = "/tmp/signalbox-benchmark-\(wallClockNanoseconds())"
  try Files.makeFolder(folder)
  let (log, _) = try EventLog.open(folder: folder)
  let loop = try EventLoop(name: "engine")
  let trigger = Counting(count)
  var filter = EventFilter()
  filter.data = DataFilters(
    [
      try DataFilter(
        path: "body.ref",
        type: "string",
        values: ["^refs/heads/main$"],
        comparator: nil
      )
    ],
    join: .all
  )
  let id = SensorID(namespace: "default", name: "s")
  let key = EventKey(namespace: "default", bus: "default", source: "github", subject: "push")
  let rule = TriggerRule(id: TriggerID(sensor: id, name: "t"), condition: .all(count: 1))
  let sensor = SensorPlan(
    id: id,
    bus: "default",
    dependencies: [Dependency(name: "d", key: key, filters: filter, fingerprint: "")],
    triggers: [rule]
  )
  let plan = TriggerPlan(
    id: rule.id,
    bus: "default",
    kind: "counting",
    concurrency: Counting.concurrency,
    generation: "g",
    retry: .once,
    statusAllow: nil,
    trigger: trigger,
    fields: .object([]),
    templateParameters: [],
    parameters: [],
    payload: [],
    remake: { (_) throws(ParameterError) in trigger }
  )
  var logger = Logger(label: "benchmark")
  logger.logLevel = .critical
  let engine = Engine(
    bus: log,
    plan: EnginePlan(sensors: [sensor], triggers: [plan]),
    loop: loop,
    configuration: Engine.Configuration(),
    observer: EngineObserver(),
    logger: logger,
    clock: { Timestamp(nanoseconds: wallClockNanoseconds()) },
    random: { 0.5 }
  )
  _ = try await engine.recover()
  // They are on the log before the engine reads the first of them.
  for start in stride(from: 0, to: count, by: 500) {
    _ = try await log.append(
      (start..<min(start + 500, count)).map { number in
        .event(
          Event(
            id: "e\(number)",
            source: "github",
            type: "github",
            subject: "push",
            time: Timestamp(nanoseconds: 0),
            data: Array(#"{"body": {"ref": "refs/heads/main", "n": \#(number)}}"#.utf8)
          )
        )
      }
    )
  }
  let start = ContinuousClock.now
  await engine.start()
  while trigger.end == nil { await loop.sleep(for: .milliseconds(5)) }
  let time = (trigger.end ?? start) - start
  await engine.stop()
  await log.close()
  loop.stop()
  try Files.remove(folder)
  return Double(count) / (time / .seconds(1))
}
