package import Glibc

/// An open file, socket or pipe that is closed when its owner goes away.
package struct FileDescriptor: ~Copyable, Sendable {
  /// The number, for calls that this type does not wrap. It must not outlive the value.
  package let raw: Int32

  /// Takes ownership of `raw`.
  package init(owning raw: Int32) { self.raw = raw }

  deinit { _ = Glibc.close(raw) }

  /// Opens `path` with `O_CLOEXEC` added to `flags`. Wraps `open`.
  package static func open(
    _ path: String,
    _ flags: Int32,
    mode: mode_t = 0o600
  ) throws(SystemError) -> FileDescriptor {
    let raw = try retryingInterrupts("open", path) {
      unsafe Glibc.open(path, flags | O_CLOEXEC, mode)
    }
    return FileDescriptor(owning: raw)
  }

  /// Gives the number away; the receiver closes it.
  package consuming func release() -> Int32 {
    let raw = raw
    discard self
    return raw
  }

  /// Closes now and reports what `close` answers; a delayed write error shows up here.
  package consuming func close() throws(SystemError) {
    let raw = raw
    discard self
    // EINTR included: on Linux the number is gone whatever close answers.
    if Glibc.close(raw) != 0 && errno != EINTR { throw SystemError("close") }
  }

  /// Reads at most `buffer.count` bytes; 0 is the end of the file. Wraps `read`.
  package borrowing func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError)
    -> Int
  {
    let raw = raw
    return try retryingInterrupts("read") {
      unsafe Glibc.read(raw, buffer.baseAddress, buffer.count)
    }
  }

  /// Reads at `offset` without moving the file position; short only at the end. Wraps `pread`.
  package borrowing func read(
    into buffer: UnsafeMutableRawBufferPointer,
    at offset: Int64
  ) throws(SystemError) -> Int {
    let raw = raw
    var done = 0
    while done < buffer.count {
      let got = try retryingInterrupts("pread") {
        unsafe pread(
          raw,
          buffer.baseAddress.map { unsafe $0 + done },
          buffer.count - done,
          off_t(offset) + done
        )
      }
      if got == 0 { break }
      done += got
    }
    return done
  }

  /// Writes everything at the file position. Wraps `write`.
  package borrowing func writeAll(_ buffer: UnsafeRawBufferPointer) throws(SystemError) {
    let raw = raw
    var done = 0
    while done < buffer.count {
      done += try retryingInterrupts("write") {
        unsafe Glibc.write(raw, buffer.baseAddress.map { unsafe $0 + done }, buffer.count - done)
      }
    }
  }

  /// Writes everything at `offset`. Wraps `pwrite`.
  package borrowing func writeAll(
    _ buffer: UnsafeRawBufferPointer,
    at offset: Int64
  ) throws(SystemError) {
    let raw = raw
    var done = 0
    while done < buffer.count {
      done += try retryingInterrupts("pwrite") {
        unsafe pwrite(
          raw,
          buffer.baseAddress.map { unsafe $0 + done },
          buffer.count - done,
          off_t(offset) + done
        )
      }
    }
  }

  /// The length in bytes. Wraps `fstat`.
  package borrowing func size() throws(SystemError) -> Int64 {
    var status = stat()
    let raw = raw
    try retryingInterrupts("fstat") { unsafe fstat(raw, &status) }
    return Int64(status.st_size)
  }

  /// Cuts or extends the file. Wraps `ftruncate`.
  package borrowing func truncate(to size: Int64) throws(SystemError) {
    let raw = raw
    try retryingInterrupts("ftruncate") { ftruncate(raw, off_t(size)) }
  }

  /// Waits until the data is on the disk. Wraps `fdatasync`.
  package borrowing func syncData() throws(SystemError) {
    let raw = raw
    try retryingInterrupts("fdatasync") { fdatasync(raw) }
  }

  /// Waits until data and metadata are on the disk; also for folders. Wraps `fsync`.
  package borrowing func sync() throws(SystemError) {
    let raw = raw
    try retryingInterrupts("fsync") { fsync(raw) }
  }

  /// Takes an exclusive advisory lock without waiting; false when somebody else holds it.
  /// The lock goes with the process, however it ends. Wraps `flock`.
  package borrowing func tryLock() throws(SystemError) -> Bool {
    while flock(raw, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { return false }
      if errno != EINTR { throw SystemError("flock") }
    }
    return true
  }
}
