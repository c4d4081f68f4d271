import Glibc
import JSON
import Posix

/// What was in force last, in `DATA/kubernetes.json`: a start while the cluster is away goes on with
/// it, and an object with an error keeps its earlier version across a restart. It holds no secrets.
struct ManifestMemory: Sendable {
  struct Unreadable: Error, CustomStringConvertible {
    let description: String
  }

  private let path: String
  private static let version = 1
  private static let limit = 256 << 20

  init(data: String) { path = data + "/kubernetes.json" }

  /// nil where there is none.
  /// - Throws: `SystemError`, or `Unreadable` for what this program did not write.
  func read() throws -> [ClusterDocument]? {
    guard Files.kind(path) != nil else { return nil }
    let json = try? JSON(parsing: try Files.read(path, limit: Self.limit))
    guard let json, let version = json["version"]?.wholeNumber else {
      throw Unreadable(description: "\(path): expected JSON with a version; remove it to start")
    }
    guard version == Self.version else {
      throw Unreadable(
        description: "\(path): version: found \(version), expected \(Self.version): it was written "
          + "by a newer program"
      )
    }
    return (json["documents"]?.items ?? []).compactMap { ClusterDocument($0) }
  }

  /// - Throws: `SystemError`.
  func write(_ documents: [ClusterDocument]) throws(SystemError) {
    let json: JSON = [
      "version": JSON(Self.version), "documents": .array(documents.map(\.object)),
    ]
    let bytes = json.encoded()
    if let old = try? Files.read(path, limit: Self.limit), old == bytes { return }
    try Files.makeFolder(Files.parent(of: path))
    try Files.writeDurably(bytes, to: path)
  }
}
