import Foundation

/// Runs tasks on threads of its own, as many at once as there is work: a test that waits without giving
/// its thread back keeps no other one from going on. Swift's own pool has a thread for each core.
package final class OwnThreads: TaskExecutor, @unchecked Sendable {
  // SAFETY: `jobs` and `idle` are guarded by `condition`.
  private let condition = NSCondition()
  private var jobs: [UnownedJob] = []
  /// Threads that have no job.
  private var idle = 0

  package static let shared = OwnThreads()

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    condition.withLock {
      jobs.append(job)
      if idle < jobs.count {
        Thread.detachNewThread { [self] in
          while true { unsafe next().runSynchronously(on: asUnownedTaskExecutor()) }
        }
      } else {
        condition.signal()
      }
    }
  }

  private func next() -> UnownedJob {
    condition.withLock {
      idle += 1
      while jobs.isEmpty { condition.wait() }
      idle -= 1
      return jobs.removeFirst()
    }
  }
}
