extension FileReport {
  package var skippedCount: Int { skipped.values.reduce(0, +) }

  /// Prints the file's numbers, why cases were skipped, and every failure.
  package func write() {
    print("\(name): \(passed) passed, \(failures.count) failed, \(skippedCount) skipped")
    for (reason, count) in skipped.sorted(by: { $0.key < $1.key }) {
      print("  skipped \(count): \(reason)")
    }
    for failure in failures {
      print("  failed \(failure.id)")
      print("    input:    \(failure.input)")
      print("    expected: \(failure.expected)")
      print("    got:      \(failure.found)")
    }
  }
}

extension [FileReport] {
  package var lastLine: String {
    let passed = reduce(0) { $0 + $1.passed }
    let failed = reduce(0) { $0 + $1.failures.count }
    let skipped = reduce(0) { $0 + $1.skippedCount }
    return "\(passed) passed, \(failed) failed, \(skipped) skipped"
  }
}
