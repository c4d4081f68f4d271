import Glibc
import Posix
import Synchronization

/// Listening sockets that are there before the log is opened: made by systemd, received from the
/// program that ran before, or bound early. What waits in their queues is served as soon as they
/// are taken.
final class ListeningSockets: Sendable {
  /// Why sockets that were handed to us cannot be used.
  struct Problem: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  private struct Entry {
    let raw: Int32
    let place: Socket.Place
    /// Whether somebody else keeps the socket open after us.
    let isShared: Bool
  }

  private let entries = Mutex<[Entry]>([])

  deinit { entries.withLock { $0.forEach { _ = close($0.raw) } } }

  var isEmpty: Bool { entries.withLock(\.isEmpty) }

  /// The ports, for messages.
  var ports: [Int] { entries.withLock { $0.map(\.place.port) } }

  /// What systemd made for this process (sd_listen_fds(3)): descriptors from 3 on, named by
  /// `LISTEN_PID` and `LISTEN_FDS`, which no child shall see.
  func addActivated() throws {
    let process = environment("LISTEN_PID").flatMap { Int32($0) }
    let count = environment("LISTEN_FDS")
    defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsafe unsetenv(name) } }
    guard process == getpid(), let count else { return }
    guard let count = Int32(count), (0...1000).contains(count) else {
      throw Problem("LISTEN_FDS is '\(count)', expected a number of sockets")
    }
    for raw in 3..<3 + count { try add(raw, isShared: true) }
  }

  /// Takes `raw` over.
  func add(_ raw: Int32, isShared: Bool) throws {
    guard let place = try Socket.adopt(raw) else {
      throw Problem("descriptor \(raw) is no stream socket that listens")
    }
    guard place.address != nil else {
      throw Problem("descriptor \(raw) listens on a socket file, expected an address and a port")
    }
    entries.withLock { $0.append(Entry(raw: raw, place: place, isShared: isShared)) }
  }

  /// Listens on what is not among them, so that a port that cannot be had shows now.
  func bind(_ address: String, _ port: Int) throws {
    if port != 0 && entries.withLock({ $0.contains { $0.place.port == port } }) { return }
    let raw = try Socket.listen(address, port).release()
    try add(raw, isShared: false)
  }

  /// Refuses sockets on another address than the one asked for: they would open more, or less,
  /// than the operator said.
  func check(_ address: String, _ port: Int) throws {
    let wanted = Socket.canonical(address)
    for entry in entries.withLock({ $0 }) where entry.place.port == port {
      guard entry.place.address == wanted else {
        throw Problem(
          "port \(port) listens on \(entry.place.address ?? "") and shall listen on \(address): "
            + "an address cannot change in a takeover"
        )
      }
    }
  }

  struct Taken: ~Copyable {
    let socket: FileDescriptor
    /// Whether somebody else keeps it open after us.
    let isShared: Bool
  }

  /// The socket on `port`, the caller's from now on.
  func take(_ port: Int) -> Taken? {
    let entry = entries.withLock { entries -> Entry? in
      guard let index = entries.firstIndex(where: { $0.place.port == port }) else { return nil }
      return entries.remove(at: index)
    }
    guard let entry else { return nil }
    return Taken(socket: FileDescriptor(owning: entry.raw), isShared: entry.isShared)
  }

  /// Closes what nobody else keeps open: connections would wait in its queue for ever.
  func closeOwn() {
    let own = entries.withLock { entries in
      defer { entries.removeAll { !$0.isShared } }
      return entries.filter { !$0.isShared }
    }
    for entry in own { _ = close(entry.raw) }
  }

  private func environment(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }
}
