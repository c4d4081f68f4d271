import ArgumentParser
import Bus
import Event
import EventLog
import Glibc
import Manifest
import Posix
import Rehearsal
import Server

/// `signalbox test`: the tests that manifests carry.
struct TestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Run the tests that manifests carry. Exit status 1 if one fails or there is none.",
    discussion: """
      Tests stand under 'signalbox: {tests: [...]}' of a sensor, or in a file X_test.yaml beside \
      X.yaml. Nothing is sent, started or listened to, and no secret is read.
      """
  )

  @Argument(help: "Manifest files and folders.")
  var paths: [String]

  @Option(help: "How results are written: human, junit or tap.")
  var format = "human"

  @Flag(help: "Name each clause that was never seen both true and false.")
  var coverage = false

  @Flag(help: "Put mistakes into the sensors, one at a time, and count those that tests catch.")
  var mutate = false

  @Option(help: "How many of 100 mistakes must be caught.")
  var atLeast = 90

  @OptionGroup var folder: DataOption
  @OptionGroup var compat: CompatOption

  func validate() throws {
    if ReportFormat(rawValue: format) == nil {
      throw ValidationError("--format is human, junit or tap")
    }
    guard (0...100).contains(atLeast) else { throw ValidationError("--at-least is from 0 to 100") }
  }

  func run() throws {
    let diagnostics = Diagnostics()
    let set = SensorCompiler.reader(diagnostics).read(withSubjects(paths))
    let clock = VirtualClock()
    let compiler = SensorCompiler(
      program: "/proc/self/exe",
      world: clock.world(.machine),
      compat: compat.value
    )
    let data = folder.data
    var rehearsal = Rehearsal(compiler, clock) { (ids) throws(RehearsalError) in
      try stored(ids, in: data)
    }
    rehearsal.run(set, diagnostics)
    let errors = diagnostics.sorted.filter { $0.severity == .error }
    for error in errors { note("\(error)") }
    let results = rehearsal.results
    print(Report(results).text(ReportFormat(rawValue: format) ?? .human))
    fflush(nil)
    if coverage { showCoverage(rehearsal.coverage) }
    var isGood = errors.isEmpty && !results.isEmpty && results.allSatisfy { $0.differences.isEmpty }
    if results.isEmpty { note("no tests in \(paths.joined(separator: ", "))") }
    if mutate, isGood {
      let score = rehearsal.mutations(set)
      for mutant in score.missed { note("not caught: \(mutant)") }
      note("\(score.caught) of \(score.count) mistakes caught (\(score.percent) %)")
      isGood = score.percent >= atLeast
    }
    if !isGood { throw ExitCode(1) }
  }

  /// A test file that is named brings the manifests that it is about.
  private func withSubjects(_ paths: [String]) -> [String] {
    paths
      + paths.filter(TestFile.isTest).flatMap { path in
        [".yaml", ".yml", ".json"].map { TestFile.stem(path) + $0 }.filter {
          Files.kind($0) == .file
        }
      }
  }

  private func showCoverage(_ coverages: [Coverage]) {
    let entries = coverages.flatMap(\.entries)
    for entry in entries where !entry.isCovered {
      let what =
        entry.wasTrue
        ? "never false" : entry.wasFalse ? "never true" : "never reached"
      note("\(entry.mark): \(entry.sensor): \(entry.name): \(what)")
    }
    note("\(entries.count(where: \.isCovered)) of \(entries.count) clauses seen true and false")
  }

  private func note(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe write(2, bytes, bytes.count)
  }
}

/// Events of a data folder by their ids.
private func stored(
  _ ids: Set<String>,
  in folder: String
) throws(RehearsalError) -> [String: Event] {
  var found: [String: Event] = [:]
  do {
    for part in try DataFolder(folder).parts() {
      _ = try part.naming {
        try EventLogReader(folder: part.log).read { record in
          guard case .event(let event) = record.content, ids.contains(event.id) else { return }
          found[event.id] = event
        }
      }
    }
  } catch { throw RehearsalError("the data folder \(folder) cannot be read: \(error)") }
  return found
}
