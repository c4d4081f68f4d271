import Engine
package import Event
import Expression
import JSON
package import Manifest
import Posix
import Sensor
package import Server

/// Runs the tests that manifests carry: the same reading, compiling, matching and rendering as in
/// earnest, on a clock that only tests move, and nobody acts.
package struct Rehearsal {
  /// What came of one test.
  package struct Result {
    package let sensor: String
    package let test: TestManifest
    package let differences: [Difference]
    package let firings: Int
    package let took: Duration
  }

  /// A test and the sensor it is about.
  struct Part {
    let sensor: SensorManifest
    let test: TestManifest
  }

  /// Finds whole events by their ids.
  package typealias StoredEvents = (Set<String>) throws(RehearsalError) -> [String: Event]

  private let compiler: SensorCompiler
  private let clock: VirtualClock
  private let stored: StoredEvents
  package private(set) var results: [Result] = []
  private var coverages: [String: Coverage] = [:]
  private var order: [String] = []

  /// - Parameters:
  ///   - compiler: made with the world of `clock`.
  ///   - stored: where the events are that tests name by id.
  package init(
    _ compiler: SensorCompiler,
    _ clock: VirtualClock,
    stored: @escaping StoredEvents
  ) {
    (self.compiler, self.clock, self.stored) = (compiler, clock, stored)
  }

  /// What clauses were seen true and false, sensor by sensor.
  package var coverage: [Coverage] { order.compactMap { coverages[$0] } }

  /// Runs every test of a set of manifests.
  package mutating func run(_ set: ManifestSet, _ diagnostics: Diagnostics) {
    for part in Self.parts(of: set, diagnostics) { run(part) }
  }

  /// The tests of a set, in their order.
  static func parts(of set: ManifestSet, _ diagnostics: Diagnostics) -> [Part] {
    var parts: [Part] = []
    for sensor in set.sensors {
      for test in sensor.tests {
        if let other = test.sensor, other != sensor.name {
          let why = "found '\(other)', but a test inside a sensor is about that sensor"
          diagnostics.add(Diagnostic(.error, test.mark, field: test.path + ".sensor", why))
          continue
        }
        parts.append(Part(sensor: sensor, test: test))
      }
    }
    for file in set.testFiles {
      for test in file.tests {
        switch subject(of: test, in: file, set) {
        case .success(let sensor): parts.append(Part(sensor: sensor, test: test))
        case .failure(let error):
          diagnostics.add(
            Diagnostic(.error, test.mark, field: test.path + ".sensor", error.description)
          )
        }
      }
    }
    return parts
  }

  /// The sensor a test in a file of its own is about.
  private static func subject(
    of test: TestManifest,
    in file: TestFile,
    _ set: ManifestSet
  ) -> Swift.Result<SensorManifest, RehearsalError> {
    let stem = TestFile.stem(file.path)
    let beside = set.sensors.filter { Self.stem($0.mark.file) == stem }
    if let name = test.sensor {
      func named(_ sensors: [SensorManifest]) -> SensorManifest? {
        sensors.first { name == $0.name || name == "\($0.namespace)/\($0.name)" }
      }
      guard let sensor = named(beside) ?? named(set.sensors) else {
        return .failure(RehearsalError("found '\(name)', expected the name of a sensor"))
      }
      return .success(sensor)
    }
    guard let sensor = beside.first, beside.count == 1 else {
      let what = beside.isEmpty ? "no sensor" : "\(beside.count) sensors"
      return .failure(
        RehearsalError("found nothing, expected the name of a sensor: \(stem) has \(what)")
      )
    }
    return .success(sensor)
  }

  private static func stem(_ path: String) -> String {
    for ending in [".yaml", ".yml", ".json"] where path.hasSuffix(ending) {
      return String(path.dropLast(ending.count))
    }
    return path
  }

  // MARK: One test

  mutating func run(_ part: Part) {
    let began = MonotonicTime.now()
    var firings = 0
    let differences: [Difference]
    do throws(RehearsalError) {
      differences = try play(part, &firings)
    } catch {
      differences = [Difference(error.path, expected: nil, found: error.description)]
    }
    results.append(
      Result(
        sensor: part.sensor.name,
        test: part.test,
        differences: differences,
        firings: firings,
        took: .now() - began
      )
    )
  }

  private mutating func play(
    _ part: Part,
    _ firings: inout Int
  ) throws(RehearsalError) -> [Difference] {
    let diagnostics = Diagnostics()
    guard let plan = compiler.plan(part.sensor, diagnostics),
      var stage = Stage(plan, clock), let sensor = plan.interlocking.sensors.first
    else {
      let errors = diagnostics.sorted.filter { $0.severity == .error }.map(\.description)
      throw RehearsalError("the sensor has errors: " + errors.joined(separator: "; "))
    }
    let test = part.test
    try startClock(test)
    let props = Props(test, stored)
    var coverage = Coverage(part.sensor, sensor, compiler)
    for (index, given) in test.events.enumerated() {
      stage.advance(by: given.after)
      let event = try props.event(given, number: index + 1, stage, clock.now)
      stage.give(event)
      coverage.see(event, stage.reasons[event.id] ?? [:])
    }
    stage.advance(by: test.wait)
    stage.end()
    firings = stage.firings.count
    keep(coverage, of: part.sensor)
    return Verdict(stage).differences(from: test)
  }

  private func startClock(_ test: TestManifest) throws(RehearsalError) {
    guard let start = test.start else { return clock.set(to: VirtualClock.start) }
    guard let time = Timestamp(rfc3339: start) else {
      throw RehearsalError("at", "found '\(start)', expected a time such as 2026-01-01T00:00:00Z")
    }
    clock.set(to: time)
  }

  private mutating func keep(_ coverage: Coverage, of sensor: SensorManifest) {
    let name = "\(sensor.namespace)/\(sensor.name)"
    if coverages[name] == nil { order.append(name) }
    if var known = coverages[name] {
      known.merge(coverage)
      coverages[name] = known
    } else {
      coverages[name] = coverage
    }
  }
}

/// Why a test cannot be played.
package struct RehearsalError: Error, CustomStringConvertible {
  /// Where in the test.
  let path: String
  package let description: String

  package init(_ description: String) { self.init("", description) }

  init(_ path: String, _ description: String) {
    self.path = path
    self.description = description
  }
}
