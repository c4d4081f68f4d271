package import Foundation

/// What a process prints, read by a thread of its own until everybody who writes has closed it. A
/// readability handler of `FileHandle` is no such reader: it may be called once more after its
/// descriptor was closed and is another's.
package final class PrintedOutput: @unchecked Sendable {
  // SAFETY: `text` and `isOver` are guarded by `condition`.
  private let condition = NSCondition()
  private var text = ""
  private var isOver = false

  /// All of it so far.
  package var all: String { condition.withLock { text } }

  package init(_ pipe: Pipe) {
    let handle = pipe.fileHandleForReading
    Thread.detachNewThread { [self] in
      while true {
        let more = handle.availableData
        condition.withLock {
          text += String(decoding: more, as: UTF8.self)
          isOver = more.isEmpty
          condition.broadcast()
        }
        if more.isEmpty { return }
      }
    }
  }

  /// Waits until `word` was printed; false when it ended without.
  package func wait(for word: String) -> Bool {
    condition.withLock {
      while !text.contains(word) && !isOver { condition.wait() }
      return text.contains(word)
    }
  }

  /// Waits until there is no more to come.
  package func waitForEnd() {
    condition.withLock { while !isOver { condition.wait() } }
  }
}
