import JSON
import Manifest
import Posix

/// How the results of tests are written.
package enum ReportFormat: String, CaseIterable, Sendable { case human, junit, tap }

/// Results in a form for people or programs.
package struct Report {
  private let results: [Rehearsal.Result]

  package init(_ results: [Rehearsal.Result]) { self.results = results }

  private var failed: [Rehearsal.Result] { results.filter { !$0.differences.isEmpty } }

  package func text(_ format: ReportFormat) -> String {
    switch format {
    case .human: human
    case .junit: junit
    case .tap: tap
    }
  }

  // MARK: People

  private var human: String {
    var lines: [String] = []
    for result in results {
      let isGood = result.differences.isEmpty
      let counts = "\(result.test.events.count) events, \(result.firings) firings"
      let name = "\(result.sensor): \(result.test.name)"
      lines.append(
        isGood ? "ok    \(name)  (\(counts))" : "FAIL  \(name)  \(result.test.mark)"
      )
      lines += result.differences.flatMap(Self.lines).map { "      " + $0 }
    }
    let took = results.reduce(Duration.zero) { $0 + $1.took }
    lines.append(
      "\(results.count) tests, \(failed.count) failed, in \(Self.milliseconds(took)) ms"
    )
    return lines.joined(separator: "\n")
  }

  private static func lines(_ difference: Difference) -> [String] {
    let head = difference.path.isEmpty ? [] : [difference.path]
    return head + [
      "  expected \(difference.expected ?? "nothing")",
      "  found    \(difference.found ?? "nothing")",
    ]
  }

  private static func milliseconds(_ duration: Duration) -> String {
    let tenths = Int(duration.inSeconds * 10_000)
    return "\(tenths / 10).\(tenths % 10)"
  }

  // MARK: Programs

  /// TAP 14.
  private var tap: String {
    var lines = ["TAP version 14", "1..\(results.count)"]
    for (index, result) in results.enumerated() {
      let word = result.differences.isEmpty ? "ok" : "not ok"
      let name = "\(result.sensor): \(result.test.name)".map { "#\\\n".contains($0) ? " " : $0 }
      lines.append("\(word) \(index + 1) - \(String(name))")
      if result.differences.isEmpty { continue }
      lines.append("  ---")
      lines.append("  at: \(JSON.string("\(result.test.mark)").text)")
      lines.append("  differences:")
      for difference in result.differences {
        lines.append("    - path: \(JSON.string(difference.path).text)")
        lines.append(
          "      expected: \(difference.expected.map { JSON.string($0).text } ?? "null")"
        )
        lines.append("      found: \(difference.found.map { JSON.string($0).text } ?? "null")")
      }
      lines.append("  ...")
    }
    return lines.joined(separator: "\n")
  }

  /// The form that build servers read.
  private var junit: String {
    var lines = [#"<?xml version="1.0" encoding="UTF-8"?>"#]
    lines.append(#"<testsuites tests="\#(results.count)" failures="\#(failed.count)">"#)
    var order: [String] = []
    for result in results where !order.contains(result.sensor) { order.append(result.sensor) }
    for sensor in order {
      let own = results.filter { $0.sensor == sensor }
      let failures = own.count { !$0.differences.isEmpty }
      let name = Self.escaped(sensor)
      lines.append(
        #"  <testsuite name="\#(name)" tests="\#(own.count)" failures="\#(failures)">"#
      )
      for result in own { lines += testCase(result, name) }
      lines.append("  </testsuite>")
    }
    lines.append("</testsuites>")
    return lines.joined(separator: "\n")
  }

  private func testCase(_ result: Rehearsal.Result, _ suite: String) -> [String] {
    let (name, file) = (Self.escaped(result.test.name), Self.escaped(result.test.mark.file))
    let head =
      #"    <testcase classname="\#(suite)" name="\#(name)" file="\#(file)" "#
      + #"line="\#(result.test.mark.line)" time="\#(result.took.inSeconds)""#
    if result.differences.isEmpty { return [head + "/>"] }
    let words = result.differences.flatMap(Self.lines).joined(separator: "\n")
    let first = result.differences[0].path
    return [
      head + ">",
      #"      <failure message="\#(Self.escaped(first))">\#(Self.escaped(words))</failure>"#,
      "    </testcase>",
    ]
  }

  /// Text in XML 1.0: what it cannot hold becomes a replacement character.
  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "\n": out += "&#10;"
      case "\t": out += "&#9;"
      case _ where scalar.value < 0x20 || scalar.value == 0xfffe || scalar.value == 0xffff:
        out += "\u{fffd}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
