import Foundation
import Posix
import Synchronization
import Testing

@Suite struct EventLoopTests {
  private func onLoop<Result: Sendable>(
    _ loop: EventLoop,
    _ body: @escaping @Sendable (CheckedContinuation<Result, Never>) -> Void
  ) async -> Result {
    await withCheckedContinuation { continuation in loop.post { body(continuation) } }
  }

  @Test("posted closures run on the loop, in order")
  func posts() async throws {
    let loop = try EventLoop(name: "test")
    let seen = Mutex<[Int]>([])
    for number in 0..<100 { loop.post { seen.withLock { $0.append(number) } } }
    #expect(await onLoop(loop) { $0.resume(returning: loop.isCurrent) })
    #expect(seen.withLock { $0 } == Array(0..<100))
    #expect(!loop.isCurrent)
    loop.stop()
  }

  @Test("timers run by their time, and cancelled ones do not")
  func timers() async throws {
    let loop = try EventLoop(name: "test")
    let order = await onLoop(loop) { (continuation: CheckedContinuation<[Int], Never>) in
      let order = Order()
      loop.timer(after: .milliseconds(6)) {
        continuation.resume(returning: order.seen)
      }
      loop.timer(after: .milliseconds(4)) { order.seen.append(2) }
      loop.timer(after: .milliseconds(1)) { order.seen.append(1) }
      loop.timer(after: .milliseconds(2)) { order.seen.append(9) }.cancel()
    }
    #expect(order == [1, 2])
    loop.stop()
  }

  @Test("a task that prefers the loop comes back to it, and its sleep can be cancelled")
  func tasks() async throws {
    let loop = try EventLoop(name: "test")
    let task = Task(executorPreference: loop) {
      await loop.sleep(for: .seconds(3600))
      return loop.isCurrent
    }
    task.cancel()
    #expect(await task.value)
    loop.stop()
  }

  @Test("a watch tells of bytes, and a cancelled one is silent")
  func watches() async throws {
    let loop = try EventLoop(name: "test")
    let pipe = Pipe()
    let fd = pipe.fileHandleForReading.fileDescriptor
    pipe.fileHandleForWriting.write(Data([1]))
    let readiness = await onLoop(loop) {
      (continuation: CheckedContinuation<EventLoop.Readiness, Never>) in
      let holder = Holder()
      do throws(SystemError) {
        holder.watch = try loop.watch(fd, for: .readable) { readiness in
          // Still readable: without the cancellation it would be called again and resume twice.
          holder.watch?.cancel()
          continuation.resume(returning: readiness)
        }
      } catch { continuation.resume(returning: []) }
    }
    #expect(readiness.contains(.readable))
    loop.stop()
  }

  @Test("a file written durably is there whole, without its temporary neighbour")
  func files() throws {
    let folder = NSTemporaryDirectory() + "signalbox-\(UUID().uuidString)"
    try Files.makeFolder(folder + "/a/b")
    try Files.writeDurably([1, 2, 3], to: folder + "/a/b/c")
    try Files.writeDurably([4], to: folder + "/a/b/c")
    #expect(try Files.read(folder + "/a/b/c") == [4])
    #expect(try Files.list(folder + "/a/b") == ["c"])
    #expect(throws: SystemError.self) { _ = try Files.read(folder + "/a/b/c", limit: 0) }
    try Files.remove(folder)
    #expect(Files.kind(folder) == nil)
  }
}

private final class Order: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread.
  var seen: [Int] = []
}

private final class Holder: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread.
  var watch: EventLoop.Watch?
}
