import JSON
package import Manifest
import Server

extension Rehearsal {
  /// How many mistakes tests caught.
  package struct MutationScore {
    package fileprivate(set) var caught = 0
    /// Those that no test noticed, each with its sensor.
    package fileprivate(set) var missed: [String] = []

    package var count: Int { caught + missed.count }
    package var percent: Int { count == 0 ? 100 : caught * 100 / count }
  }

  /// Puts mistakes into every sensor that has tests, one at a time, and runs its tests.
  package func mutations(_ set: ManifestSet) -> MutationScore {
    var score = MutationScore()
    let parts = Self.parts(of: set, Diagnostics())
    for sensor in set.sensors {
      let tests = parts.filter {
        $0.sensor.name == sensor.name && $0.sensor.namespace == sensor.namespace
      }
      if tests.isEmpty { continue }
      for mutant in Mutant.all(of: sensor.document.json) {
        if isCaught(mutant, tests.map(\.test), sensor.mark.file) {
          score.caught += 1
        } else {
          score.missed.append("\(sensor.name): \(mutant.name)")
        }
      }
    }
    return score
  }

  /// A mistake that does not even load is caught.
  private func isCaught(_ mutant: Mutant, _ tests: [TestManifest], _ file: String) -> Bool {
    let diagnostics = Diagnostics()
    let text = String(decoding: mutant.document.encoded(), as: UTF8.self)
    let set = SensorCompiler.reader(diagnostics).read(text: text, file: file)
    guard let sensor = set.sensors.first, !diagnostics.hasErrors else { return true }
    return tests.contains { test in
      var other = self
      other.run(Part(sensor: sensor, test: test))
      return other.results.last?.differences.isEmpty == false
    }
  }
}
