import Expression
import JSON
package import Manifest

/// What happened to a file; the numbers are those of Argo Events (spec section 1.3).
enum FileChange: Int, CaseIterable, Sendable {
  case create = 1
  case write = 2
  case remove = 4
  case rename = 8
  case chmod = 16

  var word: String { "\(self)".uppercased() }
}

/// The fields of a `file` event source (spec section 2.7).
package struct FileSpec: ManifestBlock, Sendable {
  /// Any of these is told.
  let changes: Set<FileChange>
  /// Absolute, without a slash at the end.
  let directory: String
  /// Below the directory: one file, or what a pattern finds.
  let path: String?
  let pattern: RE2?
  /// Whether folders below the directory are watched, too.
  let isRecursive: Bool
  let metadata: [JSON.Member]

  package init(from block: Block) {
    changes = Self.changes(block)
    let watch = block.block("watchPathConfig")
    if watch == nil { block.error("watchPathConfig", "found nothing, expected a mapping") }
    var directory = watch?.requiredString("directory") ?? ""
    if !directory.isEmpty, !directory.hasPrefix("/") {
      watch?.error("directory", "found '\(directory)', expected an absolute path")
    }
    while directory.count > 1, directory.hasSuffix("/") { directory.removeLast() }
    self.directory = directory
    let path = watch?.string("path") ?? ""
    let text = watch?.string("pathRegexp") ?? ""
    if path.hasPrefix("/") { watch?.error("path", "found '\(path)', expected a relative path") }
    if path.isEmpty == text.isEmpty {
      let what = path.isEmpty ? "neither path nor pathRegexp" : "both path and pathRegexp"
      watch?.error(nil, "found \(what), expected one of them")
    }
    self.path = path.isEmpty ? nil : path
    var pattern: RE2?
    if !text.isEmpty {
      do throws(RE2Error) { pattern = try RE2(text) } catch {
        watch?.error("pathRegexp", "\(error)")
      }
    }
    self.pattern = pattern
    watch?.finish()
    if block.bool("polling") == true { block.error("polling", "is not supported yet") }
    let own = block.block("signalbox")
    // A path that lies deeper needs its folders watched.
    isRecursive = own?.bool("recursive") ?? path.contains("/")
    own?.finish()
    metadata = webhookMetadata(block)
    block.finish()
  }

  private static func changes(_ block: Block) -> Set<FileChange> {
    let text = block.requiredString("eventType")
    var changes: Set<FileChange> = []
    for word in text.split(separator: "|") {
      guard let change = FileChange.allCases.first(where: { $0.word == word }) else {
        let known = FileChange.allCases.map(\.word).joined(separator: ", ")
        block.error("eventType", "found '\(word)', expected \(known), joined by |")
        continue
      }
      changes.insert(change)
    }
    return changes
  }

  /// Whether a file is meant, by its path below the directory.
  func wants(_ relative: String) -> Bool {
    if let path { return path == relative }
    return pattern?.isMatch(relative) ?? false
  }
}
