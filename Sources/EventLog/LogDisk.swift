import Glibc
package import Posix

/// The calls the log makes, so that tests can make each of them fail.
package protocol LogDisk: Sendable {
  /// File names, sorted.
  func list() throws(SystemError) -> [String]
  func open(_ name: String, create: Bool) throws(SystemError) -> any LogFile
  /// Makes created names durable.
  func syncFolder() throws(SystemError)
}

package protocol LogFile: AnyObject, Sendable {
  func size() throws(SystemError) -> Int
  /// At most `count` bytes; short at the end.
  func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8]
  func write(_ bytes: [UInt8], at offset: Int) throws(SystemError)
  func sync() throws(SystemError)
  func truncate(to size: Int) throws(SystemError)
}

/// A folder of the file system.
package struct FolderDisk: LogDisk {
  private let folder: String
  private let isReadOnly: Bool

  package init(_ folder: String, isReadOnly: Bool = false) {
    self.folder = folder
    self.isReadOnly = isReadOnly
  }

  package func list() throws(SystemError) -> [String] { try Files.list(folder) }

  package func open(_ name: String, create: Bool) throws(SystemError) -> any LogFile {
    let flags = isReadOnly ? O_RDONLY : O_RDWR | (create ? O_CREAT | O_EXCL : 0)
    return FolderFile(try FileDescriptor.open(folder + "/" + name, flags))
  }

  package func syncFolder() throws(SystemError) { try Files.syncFolder(folder) }
}

private final class FolderFile: LogFile {
  private let file: FileDescriptor

  init(_ file: consuming FileDescriptor) { self.file = file }

  func size() throws(SystemError) -> Int { Int(try file.size()) }

  func read(at offset: Int, count: Int) throws(SystemError) -> [UInt8] {
    var failure: SystemError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      do throws(SystemError) {
        used = unsafe try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: Int64(offset))
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(SystemError) {
    var failure: SystemError?
    unsafe bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { unsafe try file.writeAll(buffer, at: Int64(offset)) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  func sync() throws(SystemError) { try file.syncData() }

  func truncate(to size: Int) throws(SystemError) { try file.truncate(to: Int64(size)) }
}
