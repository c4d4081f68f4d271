package import Glibc

/// Whole-file and folder operations that callers share.
package enum Files {
  /// Everything in the file at `path`.
  /// - Throws: `SystemError`; `EFBIG` when the file is larger than `limit` bytes.
  package static func read(_ path: String, limit: Int = 64 << 20) throws(SystemError) -> [UInt8] {
    let file = try FileDescriptor.open(path, O_RDONLY)
    return try readToEnd(file, path, limit: limit)
  }

  /// Everything that is left in `file`, `limit` bytes at the most.
  package static func readToEnd(
    _ file: borrowing FileDescriptor,
    _ path: String = "",
    limit: Int = 64 << 20
  ) throws(SystemError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let got = try readChunk(file, &chunk)
      if got == 0 { return bytes }
      bytes += chunk[..<got]
      if bytes.count > limit { throw SystemError("read", path, code: EFBIG) }
    }
  }

  private static func readChunk(
    _ file: borrowing FileDescriptor,
    _ chunk: inout [UInt8]
  ) throws(SystemError) -> Int {
    var failure: SystemError?
    let got = unsafe chunk.withUnsafeMutableBytes { buffer -> Int in
      do throws(SystemError) { return unsafe try file.read(into: buffer) } catch {
        failure = error
        return 0
      }
    }
    if let failure { throw failure }
    return got
  }

  /// Writes `bytes` so that after a crash either the old file or the whole new one is there:
  /// a temporary file beside it, synced, renamed, and the folder synced.
  package static func writeDurably(
    _ bytes: [UInt8],
    to path: String,
    mode: mode_t = 0o600
  ) throws(SystemError) {
    let temporary = path + ".new"
    let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
    try write(bytes, to: file)
    try file.sync()
    try file.close()
    try retryingInterrupts("rename", path) { unsafe rename(temporary, path) }
    try syncFolder(parent(of: path))
  }

  /// Writes all of `bytes` at the file position.
  package static func write(
    _ bytes: [UInt8],
    to file: borrowing FileDescriptor
  ) throws(SystemError) {
    var failure: SystemError?
    unsafe bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { unsafe try file.writeAll(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Makes names created in or removed from `path` durable.
  package static func syncFolder(_ path: String) throws(SystemError) {
    let folder = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
    try folder.sync()
  }

  /// Makes the folder and its parents; one that exists is fine.
  package static func makeFolder(_ path: String, mode: mode_t = 0o700) throws(SystemError) {
    if unsafe mkdir(path, mode) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, path.contains("/"), parent(of: path) != path else {
      throw SystemError("mkdir", path)
    }
    try makeFolder(parent(of: path), mode: mode)
    if unsafe mkdir(path, mode) != 0 && errno != EEXIST { throw SystemError("mkdir", path) }
  }

  /// The names in a folder, sorted, without `.` and `..`.
  package static func list(_ path: String) throws(SystemError) -> [String] {
    guard let folder = unsafe opendir(path) else { throw SystemError("opendir", path) }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Removes a file or a folder with everything in it; one that is gone is fine.
  /// Symbolic links are removed, never followed.
  package static func remove(_ path: String) throws(SystemError) {
    if unsafe unlink(path) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else { throw SystemError("unlink", path) }
    for name in try list(path) { try remove(path + "/" + name) }
    if unsafe rmdir(path) != 0 && errno != ENOENT { throw SystemError("rmdir", path) }
  }

  package enum Kind: Sendable { case file, folder, other }

  /// What `path` is, symbolic links followed; nil when nothing is there.
  package static func kind(_ path: String) -> Kind? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFDIR: return .folder
    default: return .other
    }
  }

  /// Whether nothing is there; false where that cannot be found out.
  package static func isMissing(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR)
  }

  /// The absolute path without links. Wraps `realpath`.
  package static func resolved(_ path: String) throws(SystemError) -> String {
    guard let found = unsafe realpath(path, nil) else { throw SystemError("realpath", path) }
    defer { unsafe free(found) }
    return unsafe String(cString: found)
  }

  /// The folder that holds `path`; `.` for a bare name.
  package static func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}
