import Foundation
import Manifest
import Testing

/// What a text says, and what is wrong with it, without the file's name.
func read(_ text: String) -> (set: ManifestSet, problems: [String]) {
  let diagnostics = Diagnostics()
  let reader = ManifestReader(
    sourceKinds: ["webhook", "github"],
    triggerKinds: ["http", "log", "command"],
    diagnostics
  )
  let set = reader.read(text: text, file: "f")
  return (set, diagnostics.sorted.map { String($0.description.dropFirst(2)) })
}

func sensor(
  dependencies: String = "[{name: a, eventSourceName: s, eventName: e}]",
  triggers: String = "[{template: {name: t, log: {}}}]",
  more: String = ""
) -> String {
  """
  apiVersion: argoproj.io/v1alpha1
  kind: Sensor
  metadata: {name: x}
  spec:
    dependencies: \(dependencies)
    triggers: \(triggers)
    \(more)
  """
}

func eventSource(_ spec: String, name: String = "x") -> String {
  """
  apiVersion: argoproj.io/v1alpha1
  kind: EventSource
  metadata: {name: \(name)}
  spec: \(spec)
  """
}

/// The folder of shared test data, or nil where it is absent.
let vectors: URL? = {
  let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  let folder =
    ProcessInfo.processInfo.environment["SIGNALBOX_VECTORS"].map { URL(filePath: $0) }
    ?? package.appending(path: "../shared")
  return FileManager.default.fileExists(atPath: folder.path) ? folder.standardizedFileURL : nil
}()

/// A new folder that is removed at the end of `body`.
func withFolder(_ body: (URL) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "manifests-\(UUID())")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: folder) } }
  try body(folder)
}
