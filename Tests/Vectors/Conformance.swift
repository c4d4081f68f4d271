package import Expression
import JSON
import Posix

/// What became of the cases of one file.
package struct FileReport: Sendable {
  package struct Failure: Sendable {
    package let id: String
    package let input: String
    package let expected: String
    package let found: String
  }

  package let name: String
  package internal(set) var passed = 0
  package internal(set) var failures: [Failure] = []
  /// How many cases were skipped, by reason: deliberate differences too.
  package internal(set) var skipped: [String: Int] = [:]
  /// Of the default mode: the answers that differ, by case.
  package internal(set) var defaults: [String: String] = [:]
}

/// The vector files of a folder, put to our code.
package struct Conformance: Sendable {
  let run: VectorRun

  /// - Parameters:
  ///   - mode: the vectors say what the original does: `argo19`. In the default mode a case must
  ///     give what `defaultAnswers` says, and where that says nothing, the same.
  ///   - worker: the path of a binary that runs `JQService` when it is told so.
  package init(mode: CompatibilityMode, worker: String) {
    run = VectorRun(mode: mode, worker: worker)
  }

  /// The cases of which the default mode's answer is stated, being another than the original's.
  package static let statedDefaults = Set(defaultAnswers.keys)

  /// The reports of all files below a folder, or of one file.
  /// - Parameter only: the names of formats, empty for all.
  /// - Throws: `SystemError`, `JSONError` for a file that cannot be read.
  package func reports(_ path: String, only: Set<String> = []) throws -> [FileReport] {
    if Files.kind(path) != .folder { return [try report(file: path)] }
    var reports: [FileReport] = []
    let names = try Files.list(path)
    if names.contains(where: isParsingCase) {
      if only.isEmpty || only.contains("json-parsing") { reports.append(try parsing(path, names)) }
      return reports
    }
    for name in names {
      let file = path + "/" + name
      if Files.kind(file) == .folder {
        reports += try self.reports(file, only: only)
      } else if name.hasSuffix(".json") {
        if let format = VectorFormat.named(stem(name)), !only.isEmpty, !only.contains(format.name) {
          continue
        }
        if VectorFormat.named(stem(name)) == nil, !only.isEmpty { continue }
        reports.append(try report(file: file))
      }
    }
    return reports
  }

  private func stem(_ name: String) -> String {
    let last = name.split(separator: "/").last.map(String.init) ?? name
    return last.hasSuffix(".json") ? String(last.dropLast(5)) : last
  }

  private func report(file: String) throws -> FileReport {
    var report = FileReport(name: stem(file))
    guard let format = VectorFormat.named(report.name) else {
      report.skipped["a file of no known format"] = 1
      return report
    }
    if run.mode == .fixed, !format.hasModes {
      report.skipped["has no modes"] = 1
      return report
    }
    for item in try JSON(parsing: Files.read(file)).items ?? [] { judge(item, format, &report) }
    return report
  }

  private func judge(_ item: JSON, _ format: VectorFormat, _ report: inout FileReport) {
    let id = item.text("id")
    let found: String
    do { found = try format.found(item, run) } catch let error as SkippedCase {
      report.skipped[error.reason, default: 0] += 1
      return
    } catch { found = "\(error)" }
    var expected = format.expected(item)
    let difference = Difference.of(item, format)
    if run.mode == .fixed {
      if found != expected, difference == nil { report.defaults[id] = found }
      expected = defaultAnswers[id] ?? expected
    }
    if found == expected {
      report.passed += 1
    } else if let difference {
      report.skipped[difference, default: 0] += 1
    } else {
      report.failures.append(
        .init(id: id, input: format.input(item), expected: expected, found: found)
      )
    }
  }

  private func isParsingCase(_ name: String) -> Bool {
    name.hasSuffix(".json") && ["y_", "n_", "i_"].contains(String(name.prefix(2)))
  }

  /// Files of which each is a case: what begins with `y_` must parse, with `n_` must not; with
  /// `i_` both will do, if both readers agree.
  private func parsing(_ path: String, _ names: [String]) throws -> FileReport {
    var report = FileReport(name: stem(path))
    for name in names where isParsingCase(name) {
      let bytes = try Files.read(path + "/" + name)
      let tree = try? JSON(parsing: bytes)
      let isDocument = (try? JSONDocument(bytes)) != nil
      let expected =
        switch name.prefix(2) {
        case "y_": "parses"
        case "n_": "is refused"
        default: tree == nil ? "is refused" : "parses"
        }
      var found = tree == nil ? "is refused" : "parses"
      if isDocument != (tree != nil) { found += ", but not as a document" }
      if let tree, try JSON(parsing: tree.encoded()) != tree { found += ", and changes in writing" }
      if found == expected {
        report.passed += 1
      } else {
        let input = String(decoding: bytes.prefix(200), as: UTF8.self)
        report.failures.append(.init(id: name, input: input, expected: expected, found: found))
      }
    }
    return report
  }
}

/// The bytes of a file of the machine's time zone database.
@Sendable func zoneFile(_ name: String) -> [UInt8]? {
  do throws(SystemError) {
    return try Files.read("/usr/share/zoneinfo/" + name, limit: 1 << 20)
  } catch { return nil }
}
