import Event
import Posix
import TLS

extension EventLog {
  package struct Configuration: Sendable {
    /// A segment that has reached this many bytes, or this age, is followed by a new one.
    package var segmentBytes = 64 << 20
    package var segmentAge = Duration.seconds(3600)
    /// Drafts written at once: at most about this many bytes.
    package var batchBytes = 8 << 20
    /// Zeros written ahead of the records: a sync of bytes that are there already need not wait
    /// for the file system's journal. Batches of a quarter or more do without.
    package var aheadBytes = 1 << 20
    /// Drafts that may wait, in bytes; beyond it appends answer `full`.
    package var queueBytes = 256 << 20
    /// Segments that are older go when nobody needs them any more.
    package var maxAge = Duration.seconds(7 * 86400)
    /// Above this many bytes events from sources are refused; nil: 10 GiB, or 80 % of the space
    /// that is free at the start, the log's own included, if that is less.
    package var maxBytes: Int?
    /// What intents, outcomes, cursors and notices may take above it, so that work in flight
    /// always ends.
    package var reserveBytes = 64 << 20
    /// How long the identity of an event is remembered, and how many are.
    package var identityWindow = Duration.seconds(7 * 86400)
    package var identityCount = 20_000_000
    package var clock = LogClock.system
    /// A random number for a new log.
    package var seed: @Sendable () -> UInt32 = {
      secureRandomBytes(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
    /// How often segments are looked at that may go. By the system's clock.
    package var upkeepInterval = Duration.seconds(60)
    /// Whether a thread of its own writes down what sealed segments hold. Without it every call of
    /// the disk comes from one thread, in the same order for the same appends.
    package var sealsAside = true
    package var hooks = Hooks()
    /// What holds the records before the folder does; nil: nothing.
    package var replica: (any LogReplica)?

    package init() {}
  }

  /// Calls on a thread of the log, or on that of a reader for damage; they must not wait.
  package struct Hooks: Sendable {
    /// After each sync: records, bytes, time of write and sync.
    package var synced: @Sendable (_ records: Int, _ bytes: Int, _ took: Duration) -> Void = {
      _,
      _,
      _ in
    }
    /// Damage that was met while reading; each range once.
    package var damaged: @Sendable (Damage) -> Void = { _ in }
    /// Something that failed and is tried again, in words.
    package var troubled: @Sendable (String) -> Void = { _ in }
    /// The log has reached half of its limit; once until it is below again.
    package var pressed: @Sendable (Figures) -> Void = { _ in }
    /// Segments that went, and the bytes that came free.
    package var released: @Sendable (_ segments: Int, _ bytes: Int) -> Void = { _, _ in }

    package init() {}
  }

  /// What the log is made of now, for metrics.
  package struct Figures: Sendable, Equatable {
    package var bytes = 0
    package var segments = 0
    package var records = 0
    /// Above this, events from sources are refused.
    package var maxBytes = 0
    /// Log time of the first record, in nanoseconds; nil where there is none.
    package var oldest: Int64?
    /// From this log time on duplicates are known, in nanoseconds.
    package var identitiesSince: Int64?
    /// Bytes that cannot go because of each holder, from its first position on.
    package var heldBytes: [String: Int] = [:]

    package init() {}
  }
}
