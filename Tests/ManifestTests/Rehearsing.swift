import Event
import Manifest
import Rehearsal
import Server
import TestKit

/// The tests of a text of manifests, run.
struct Rehearsed {
  let set: ManifestSet
  let rehearsal: Rehearsal
  /// Errors of the manifests or tests.
  let problems: [String]

  init(
    _ text: String,
    file: String = "f",
    stored: [Event] = [],
    compat: Compatibility = .fixed
  ) {
    self.init(stored: stored, compat) { $0.read(text: text, file: file) }
  }

  init(paths: [String]) { self.init(stored: [], .fixed) { $0.read(paths) } }

  private init(
    stored: [Event],
    _ compat: Compatibility,
    read: (ManifestReader) -> ManifestSet
  ) {
    let diagnostics = Diagnostics()
    set = read(SensorCompiler.reader(diagnostics))
    let clock = VirtualClock()
    let compiler = SensorCompiler(
      program: builtProgram("signalbox"),
      world: clock.world(.machine),
      compat: compat
    )
    var rehearsal = Rehearsal(compiler, clock) { ids in
      Dictionary(uniqueKeysWithValues: stored.filter { ids.contains($0.id) }.map { ($0.id, $0) })
    }
    rehearsal.run(set, diagnostics)
    self.rehearsal = rehearsal
    problems = diagnostics.sorted.filter { $0.severity == .error }.map(\.description)
  }

  /// `path: expected X, found Y`, of all tests.
  var differences: [String] {
    rehearsal.results.flatMap(\.differences).map {
      "\($0.path): expected \($0.expected ?? "nothing"), found \($0.found ?? "nothing")"
    }
  }
}
