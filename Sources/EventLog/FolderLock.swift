import Glibc
import Posix

/// The right to write to a folder. It goes with the process, however that ends.
package final class FolderLock: Sendable {
  private let file: FileDescriptor

  /// Takes the lock of `folder`, which is made if need be, and leaves this process's number in it.
  /// - Throws: `LogError.locked` where another process holds it.
  package init(_ folder: String) throws(LogError) {
    do throws(SystemError) {
      try Files.makeFolder(folder)
      file = try FileDescriptor.open(folder + "/lock", O_RDWR | O_CREAT)
    } catch { throw .system("\(error)") }
    do throws(SystemError) {
      if try file.tryLock() {
        try file.truncate(to: 0)
        try Files.write(Array(String(getpid()).utf8), to: file)
        return
      }
    } catch { throw .system("\(error)") }
    let holder: [UInt8]
    do throws(SystemError) { holder = try Files.readToEnd(file, limit: 64) } catch {
      throw .system("\(error)")
    }
    throw .locked(folder: folder, holder: String(decoding: holder, as: UTF8.self))
  }
}
