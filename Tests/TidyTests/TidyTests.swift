import Foundation
import Testing

@Suite struct TidyTests {
  private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private func swiftFiles(_ folder: String) -> [(name: String, text: String)] {
    let base = root.appendingPathComponent(folder).path
    let names = FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".swift") }.sorted().compactMap { name in
      (try? String(contentsOfFile: base + "/" + name, encoding: .utf8)).map { (name, $0) }
    }
  }

  @Test("a module imports only what the table allows, and the table keeps its order")
  func layers() throws {
    let names = moduleTable.map(\.module)
    for (place, row) in moduleTable.enumerated() {
      let below = Set(names[place...])
      #expect(row.imports.isDisjoint(with: below), "\(row.module) looks down")
    }
    let files = swiftFiles("Sources")
    #expect(files.count > 30)
    for file in files {
      let module = String(file.name.split(separator: "/")[0])
      let row = try #require(moduleTable.first { $0.module == module }, "\(module) has no row")
      for name in imports(file.text) where !standardLibrary.contains(name) {
        #expect(row.imports.contains(name), "\(file.name) imports \(name)")
      }
    }
  }

  @Test("what a module imports is declared in Package.swift, and nothing is built on SwiftNIO")
  func declared() throws {
    let package = try String(
      contentsOf: root.appendingPathComponent("Package.swift"),
      encoding: .utf8
    )
    for file in swiftFiles("Sources") {
      let module = String(file.name.split(separator: "/")[0])
      let found = package.range(of: "module(\"\(module)\"") ?? package.range(of: "\"\(module)\"")
      #expect(found != nil, "\(module) is no target")
    }
    for word in ["swift-" + "nio", "async-http-client", "humming" + "bird", "vapor"] {
      #expect(!package.contains(word))
    }
  }

  @Test("files are one idea long")
  func length() {
    for (folder, limit) in [("Sources", 400), ("Tests", 700)] {
      for file in swiftFiles(folder) {
        let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false).count - 1
        #expect(lines <= limit, "\(folder)/\(file.name) has \(lines) lines")
      }
    }
  }

  @Test("program text cannot trap on input, hide errors or hold leftovers")
  func text() {
    for file in swiftFiles("Sources") {
      #expect(breaches(file.text) == [], "\(file.name)")
    }
  }

  @Test("secrets are compared by one function, which takes its time")
  func comparisons() {
    var users = 0
    for file in swiftFiles("Sources") {
      let isHome = file.name == "TLS/HMAC.swift"
      for line in file.text.split(separator: "\n") {
        let code = line.prefix { $0 != "/" }
        if code.contains("memcmp(") { #expect(isHome, "\(file.name): \(line)") }
        let compares = code.contains("==") || code.contains("!=")
        if code.contains("reveal()"), compares {
          #expect(code.contains("Key(") || code.contains("isEmpty"), "\(file.name): \(line)")
        }
        if code.contains("constantTimeEquals(") { users += 1 }
      }
    }
    #expect(users > 6)
  }

  @Test("the alerts and the board ask for metrics that there are")
  func metrics() throws {
    let made = swiftFiles("Sources").reduce(into: Set<String>()) { names, file in
      for match in file.text.matches(of: /"((?:signalbox|process)_[a-z_]+)"/) {
        names.insert(String(match.1))
      }
    }
    #expect(made.count > 25)
    for path in ["deploy/alerts/signalbox.yaml", "deploy/grafana/signalbox.json"] {
      let text = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
      let asked = Set(text.matches(of: /(?:signalbox|process)_[a-z_]+/).map { String($0.0) })
      #expect(asked.count > 10)
      for name in asked.subtracting(["signalbox_test"]) {
        let base = name.hasSuffix("_bucket") ? String(name.dropLast("_bucket".count)) : name
        #expect(made.contains(base), "\(path) asks for \(name)")
      }
    }
  }

  @Test("tests wait for what happens, not for the clock")
  func noSleeps() {
    for file in swiftFiles("Tests") { #expect(!sleeps(file.text), "\(file.name)") }
  }

  @Test("the rules see what they are for")
  func rules() {
    #expect(imports("package import Event\nimport JSON\n// import X") == ["Event", "JSON"])
    let bad = ["let a = try" + "! f()", "x as" + "! Y", "fatal" + "Error()", "catch" + " { }"]
    for line in bad { #expect(breaches(line).count == 1, "\(line)") }
    #expect(breaches("final class A: @unchecked Sendable {").count == 1)
    #expect(breaches("class A: @unchecked Sendable {\n// SAFETY: guarded").isEmpty)
    #expect(breaches("// TO" + "DO later").count == 1)
    #expect(sleeps("await Task." + "sleep(for: .seconds(1))"))
  }
}
