import EventSources
import Foundation
import Manifest
import Plugin
import Server
import TestKit
import Testing
import Triggers

@Suite struct PublishedManifestTests {
  @Test("every manifest that Argo Events publishes loads, or names what is not supported yet")
  func examples() throws {
    guard let vectors else {
      print("vectors: manifests absent")
      return
    }
    let folder = vectors.appending(path: "manifests/argo-events")
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") }
    #expect(names.count == 134)
    var refused = 0
    try withFolder { secrets in
      for name in names {
        let errors = try errors(of: folder.path + "/" + name, secrets)
        for error in errors { #expect(error.message.hasPrefix("is not supported yet"), "\(error)") }
        #expect(errors.map(\.field) == expected(name), "\(name)")
        refused += errors.isEmpty ? 0 : 1
      }
    }
    #expect(Set(notSupportedYet.keys).isSubset(of: names))
    print("vectors: manifests \(names.count) ran, \(refused) not yet supported")
  }

  /// What the table says, less the kinds that were built since.
  private func expected(_ name: String) -> [String] {
    let (sources, triggers) = (eventSourceKinds.map(\.kind), triggerKinds.map(\.kind))
    return (notSupportedYet[name] ?? []).filter { field in
      let parts = field.split(separator: ".").map(String.init)
      let kind = parts.last ?? ""
      if parts.count == 2 { return !sources.contains(kind) }
      return !(parts.dropLast().last == "template" && triggers.contains(kind))
    }
  }

  /// The errors of one file, every secret it names being there.
  private func errors(of file: String, _ secrets: URL) throws -> [Diagnostic] {
    while true {
      let errors = Server.validate(
        [file],
        secrets: secrets.path,
        program: builtProgram("signalbox")
      )
      .filter { $0.severity == .error }
      let missing = errors.compactMap { error -> String? in
        guard error.message.hasPrefix("no secret '") else { return nil }
        return error.message.split(separator: "'").dropFirst().first.map(String.init)
      }
      if missing.isEmpty { return errors }
      for place in missing {
        let path = secrets.appending(path: place)
        try FileManager.default.createDirectory(
          at: path.deletingLastPathComponent(),
          withIntermediateDirectories: true
        )
        try Data("secret".utf8).write(to: path)
      }
    }
  }
}
