import Event
import JSON
import Plugin
import Posix

/// What a firing noted before it asked the cluster for something that a repetition would do twice:
/// `<jobs>/<firing id>/call`. It is there before the request leaves, so whoever comes later, after
/// a crash too, knows that the request may have been made, when, and what was seen then.
struct Claim {
  private let folder: String
  private var path: String { folder + "/call" }

  init(_ firing: Firing, _ host: any TriggerHost) { folder = host.jobs + "/" + firing.id.text }

  /// nil: nothing was asked for yet.
  /// - Throws: `SystemError` or `JSONError`.
  func read() throws -> JSON? {
    guard Files.kind(path) == .file else { return Optional.none }
    return try JSON(parsing: try Files.read(path, limit: 1 << 20))
  }

  /// - Throws: `SystemError`; then nothing may be asked for.
  func write(_ note: JSON) throws(SystemError) {
    try Files.makeFolder(folder)
    try Files.writeDurably(note.encoded(), to: path)
  }

  static func remove(_ id: String, _ host: any TriggerHost) {
    // What is left behind is removed at the next start.
    _ = try? Files.remove(host.jobs + "/" + id)
  }
}
