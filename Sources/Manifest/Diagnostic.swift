/// A place in a manifest file; lines and columns count from 1. What was never a file, such as an
/// object of a cluster, has line 0: its places are told by fields alone.
package struct Mark: Hashable, Sendable, CustomStringConvertible {
  package let file: String
  package let line: Int
  package let column: Int

  package init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }

  package init(document: String) { self.init(file: document, line: 0, column: 0) }

  package var description: String { line == 0 ? file : "\(file):\(line):\(column)" }
}

/// One thing to tell the author of a manifest.
package struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
  package enum Severity: String, Hashable, Sendable { case error, warning, info }

  package let severity: Severity
  package let mark: Mark
  /// The field it is about as a path from the document's root, such as
  /// `spec.triggers[0].template.http.url`; empty where it is about the file.
  package let field: String
  package let message: String

  package init(_ severity: Severity, _ mark: Mark, field: String, _ message: String) {
    self.severity = severity
    self.mark = mark
    self.field = field
    self.message = message
  }

  /// `file:line:column: severity: field: message`
  package var description: String {
    "\(mark): \(severity.rawValue): " + (field.isEmpty ? "" : "\(field): ") + message
  }
}

/// Collects what is wrong, so that an author sees every problem at once.
package final class Diagnostics {
  package private(set) var all: [Diagnostic] = []

  package init() {}

  package func add(_ diagnostic: Diagnostic) { all.append(diagnostic) }

  package var hasErrors: Bool { all.contains { $0.severity == .error } }

  /// In the order of files, lines and columns, without repetitions.
  package var sorted: [Diagnostic] {
    var seen: Set<Diagnostic> = []
    return all.filter { seen.insert($0).inserted }.sorted {
      ($0.mark.file, $0.mark.line, $0.mark.column) < ($1.mark.file, $1.mark.line, $1.mark.column)
    }
  }
}
