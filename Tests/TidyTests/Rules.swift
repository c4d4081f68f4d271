/// A place that breaks a rule.
struct Breach: Equatable, CustomStringConvertible {
  let line: Int
  let rule: String

  var description: String { "\(line): \(rule)" }
}

/// The modules a source text imports.
func imports(_ text: String) -> [String] {
  text.split(separator: "\n").compactMap { line in
    let words = line.split(separator: " ")
    guard let place = words.firstIndex(of: "import"), place + 1 < words.count,
      words[..<place].allSatisfy({ ["package", "internal", "private", "@testable"].contains($0) })
    else { return nil }
    let name = words.last == words[place + 1] ? words[place + 1] : words[place + 2]
    return String(name.split(separator: ".")[0])
  }
}

/// What must not stand in program text outside tests.
func breaches(_ text: String) -> [Breach] {
  var found: [Breach] = []
  let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
  for (index, line) in lines.enumerated() {
    let code = line.prefix(while: { $0 != "/" })
    func add(_ rule: String) { found.append(Breach(line: index + 1, rule: rule)) }
    for word in ["try" + "!", "as" + "!", "fatal" + "Error("] where code.contains(word) {
      add(word)
    }
    if code.hasPrefix("public ") || code.contains(" public ") { add("public") }
    if code.replacing(" ", with: "").contains("catch" + "{}") { add("empty catch") }
    for mark in ["TO" + "DO", "FIX" + "ME", "XX" + "X"] where line.contains(mark) { add(mark) }
    if code.contains("@unchecked Sendable") || code.contains("nonisolated(unsafe)") {
      let near = lines[max(0, index - 3)..<min(lines.count, index + 4)]
      if !near.contains(where: { $0.contains("// SAFETY:") }) { add("no SAFETY line") }
    }
  }
  return found
}

/// Waiting by the clock, which makes a test slow or flaky.
func sleeps(_ text: String) -> Bool {
  ["Task." + "sleep", "usl" + "eep(", " sl" + "eep("].contains { text.contains($0) }
}
