import Glibc
package import Posix

/// The places in the program where the log calls the disk: each can be made to fail by itself.
package enum LogCall: String, CaseIterable, Sendable {
  // Opening
  case openList, openLeftovers, openSegment, openSize, openRead, openReadHeader, openCut
  case openHeader, openSync
  // Appending
  case batchWrite, batchSync, batchCut, sealCut, readRecords
  // A new segment
  case rollRemove, rollCreate, rollHeader, rollSync, rollFolder
  // A segment's index
  case indexOpen, indexSize, indexRead, indexCreate, indexWrite, indexRename, indexRemove
  // The index of identities
  case identitiesOpen, identitiesSize, identitiesRead, identitiesCreate, identitiesWrite
  case identitiesSync, identitiesRename
  // Retention
  case keepRead, keepCreate, keepWrite, keepSync, keepRename, keepFolder, dropRemove, dropFolder
}

/// The calls the log makes, so that tests can make each of them fail.
package protocol LogDisk: Sendable {
  /// File names, sorted.
  func list(_ call: LogCall) throws(SystemError) -> [String]
  /// With `create` the file must not be there yet.
  func open(_ name: String, create: Bool, _ call: LogCall) throws(SystemError) -> any LogFile
  /// One that is gone is fine.
  func remove(_ name: String, _ call: LogCall) throws(SystemError)
  /// Takes the place of a file that is there.
  func rename(_ name: String, to new: String, _ call: LogCall) throws(SystemError)
  /// Makes created, renamed and removed names durable.
  func syncFolder(_ call: LogCall) throws(SystemError)
  /// Bytes that can still be written; nil where nobody knows.
  func freeBytes() -> Int?
}

package protocol LogFile: AnyObject, Sendable {
  func size(_ call: LogCall) throws(SystemError) -> Int
  /// At most `count` bytes; short at the end.
  func read(at offset: Int, count: Int, _ call: LogCall) throws(SystemError) -> [UInt8]
  func write(_ bytes: [UInt8], at offset: Int, _ call: LogCall) throws(SystemError)
  func sync(_ call: LogCall) throws(SystemError)
  func truncate(to size: Int, _ call: LogCall) throws(SystemError)
}

/// A folder of the file system.
package struct FolderDisk: LogDisk {
  private let folder: String
  private let isReadOnly: Bool

  package init(_ folder: String, isReadOnly: Bool = false) {
    self.folder = folder
    self.isReadOnly = isReadOnly
  }

  package func list(_ call: LogCall) throws(SystemError) -> [String] { try Files.list(folder) }

  package func open(
    _ name: String,
    create: Bool,
    _ call: LogCall
  ) throws(SystemError) -> any LogFile {
    let flags = isReadOnly ? O_RDONLY : O_RDWR | (create ? O_CREAT | O_EXCL : 0)
    return FolderFile(try FileDescriptor.open(folder + "/" + name, flags))
  }

  package func remove(_ name: String, _ call: LogCall) throws(SystemError) {
    try Files.remove(folder + "/" + name)
  }

  package func rename(_ name: String, to new: String, _ call: LogCall) throws(SystemError) {
    try retryingInterrupts("rename", name) {
      unsafe Glibc.rename(folder + "/" + name, folder + "/" + new)
    }
  }

  package func syncFolder(_ call: LogCall) throws(SystemError) { try Files.syncFolder(folder) }

  /// False in a program built for measurements, which acknowledges what is not on the disk.
  #if SIGNALBOX_BENCH_WITHOUT_SYNC
    package static let isDurable = false
  #else
    package static let isDurable = true
  #endif

  package func freeBytes() -> Int? {
    var status = statvfs()
    guard unsafe statvfs(folder, &status) == 0 else { return nil }
    return Int(
      clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        .partialValue
    )
  }
}

private final class FolderFile: LogFile {
  private let file: FileDescriptor

  init(_ file: consuming FileDescriptor) { self.file = file }

  func size(_ call: LogCall) throws(SystemError) -> Int { Int(try file.size()) }

  func read(at offset: Int, count: Int, _ call: LogCall) throws(SystemError) -> [UInt8] {
    var failure: SystemError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      do throws(SystemError) {
        used = unsafe try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: Int64(offset))
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }

  func write(_ bytes: [UInt8], at offset: Int, _ call: LogCall) throws(SystemError) {
    var failure: SystemError?
    unsafe bytes.withUnsafeBytes { buffer in
      do throws(SystemError) { unsafe try file.writeAll(buffer, at: Int64(offset)) } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  func sync(_ call: LogCall) throws(SystemError) {
    if FolderDisk.isDurable { try file.syncData() }
  }

  func truncate(to size: Int, _ call: LogCall) throws(SystemError) {
    try file.truncate(to: Int64(size))
  }
}
