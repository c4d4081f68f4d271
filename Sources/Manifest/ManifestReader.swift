package import JSON
import Posix

/// Reads manifests. Problems with content never throw: every one of every file is added to the
/// diagnostics, and what could be read is returned for tools that want it all the same.
package struct ManifestReader {
  package enum Limits {
    /// The largest manifest file.
    package static let fileBytes = 4 << 20
    /// The most files read together.
    package static let files = 10_000
    /// The deepest folder below one that was named.
    static let folderDepth = 32
  }

  private let documents: DocumentReader
  private let diagnostics: Diagnostics

  /// - Parameters:
  ///   - sourceKinds: the kinds of event sources that are built, such as `github`.
  ///   - triggerKinds: the kinds of triggers that are built, such as `http`.
  package init(sourceKinds: Set<String>, triggerKinds: Set<String>, _ diagnostics: Diagnostics) {
    documents = DocumentReader(
      sourceKinds: sourceKinds,
      triggerKinds: triggerKinds,
      diagnostics: diagnostics
    )
    self.diagnostics = diagnostics
  }

  /// Reads files, and folders with all `.yaml`, `.yml` and `.json` files below them in the order
  /// of their names. A file that is named counts whatever its ending; one whose name ends in
  /// `_test` holds tests.
  package func read(_ paths: [String]) -> ManifestSet {
    var set = ManifestSet()
    var files: [String] = []
    for path in paths { collect(path, depth: 0, into: &files) }
    if files.count > Limits.files {
      report(paths.first ?? "", "found more than \(Limits.files) files")
      files.removeLast(files.count - Limits.files)
    }
    var seen: Set<String> = []
    for file in files where seen.insert(file).inserted { read(file: file, into: &set) }
    checkNames(set)
    return set
  }

  /// Reads one text as if it were all there is.
  /// - Parameter file: what to call it in messages.
  package func read(text: String, file: String) -> ManifestSet {
    var set = ManifestSet()
    read(text, file, into: &set)
    checkNames(set)
    return set
  }

  /// Reads objects, each a document of its own, in their order.
  /// - Parameter objects: with what to call each in messages.
  package func read(objects: [(name: String, object: JSON)]) -> ManifestSet {
    var set = ManifestSet()
    for (name, object) in objects {
      documents.read(Node(object, at: Mark(document: name)), into: &set)
    }
    checkNames(set)
    return set
  }

  /// A number for what `paths` hold now: another content very likely has another number, within one
  /// run of the program.
  package func fingerprint(of paths: [String]) -> Int {
    var files: [String] = []
    for path in paths { collect(path, depth: 0, into: &files) }
    var hasher = Hasher()
    for file in files.prefix(Limits.files) {
      hasher.combine(file)
      hasher.combine(try? Files.read(file, limit: Limits.fileBytes))
    }
    return hasher.finalize()
  }

  private func collect(_ path: String, depth: Int, into files: inout [String]) {
    switch Files.kind(path) {
    case .file: files.append(path)
    case .folder:
      guard depth < Limits.folderDepth, files.count <= Limits.files else {
        report(path, "found folders nested deeper than \(Limits.folderDepth), or too many files")
        return
      }
      do {
        for name in try Files.list(path) where !name.hasPrefix(".") {
          let child = path.hasSuffix("/") ? path + name : path + "/" + name
          let isManifest = [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
          if isManifest || Files.kind(child) == .folder {
            collect(child, depth: depth + 1, into: &files)
          }
        }
      } catch {
        report(path, "cannot be read: \(error)")
      }
    case .other: report(path, "found neither a file nor a folder")
    case nil: report(path, "found nothing here")
    }
  }

  private func read(file: String, into set: inout ManifestSet) {
    let bytes: [UInt8]
    do {
      bytes = try Files.read(file, limit: Limits.fileBytes)
    } catch {
      report(file, "cannot be read: \(error)")
      return
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      report(file, "found bytes that are not UTF-8")
      return
    }
    read(text, file, into: &set)
  }

  private func read(_ text: String, _ file: String, into set: inout ManifestSet) {
    var yaml = YAMLReader(file: file, diagnostics: diagnostics)
    let nodes = yaml.documents(text)
    if TestFile.isTest(file) {
      set.testFiles.append(TestFile(path: file, documents: nodes, diagnostics))
      return
    }
    for document in nodes { documents.read(document, into: &set) }
  }

  /// Two manifests of a kind must not share a namespace and a name, in whatever files they are.
  private func checkNames(_ set: ManifestSet) {
    checkDistinct("EventSource", set.eventSources.map { ($0.namespace, $0.name, $0.mark) })
    checkDistinct("Sensor", set.sensors.map { ($0.namespace, $0.name, $0.mark) })
    checkDistinct("EventBus", set.buses.map { ($0.namespace, $0.name, $0.mark) })
  }

  private func checkDistinct(_ kind: String, _ names: [(space: String, name: String, mark: Mark)]) {
    var places: [[String]: Mark] = [:]
    for (space, name, mark) in names where !name.isEmpty {
      if let first = places[[space, name]] {
        diagnostics.add(
          Diagnostic(
            .error,
            mark,
            field: "metadata.name",
            "found the \(kind) \(space)/\(name) again, expected one of that name; "
              + "the first is at \(first)"
          )
        )
      } else {
        places[[space, name]] = mark
      }
    }
  }

  private func report(_ file: String, _ message: String) {
    diagnostics.add(
      Diagnostic(.error, Mark(file: file, line: 1, column: 1), field: "", message)
    )
  }
}
