import Bus
import EventLog
import KafkaClient
import Posix
import Synchronization

/// Writes the log's batches to the topic, each in one transaction.
///
/// After a failure that leaves open what the topic holds nothing is written any more: only who
/// becomes the owner anew, and reads the topic, knows how to go on.
final class KafkaReplica: LogReplica {
  private struct State {
    /// The last record on the topic; nil: the replica was not begun, or it ended.
    var last: UInt64?
    var end: String?
    var wasTold = false
  }

  private let settings: KafkaBus.Settings
  private let transactor: KafkaTransactor
  private let trim: TopicTrim
  private let lost: @Sendable (String) -> Void
  private let state = Mutex(State())
  /// Of the transaction under way.
  private let answer = Mutex<Result<Int64?, KafkaTransactionError>?>(nil)
  private let answered: FileDescriptor

  /// - Throws: `KafkaSettingError`, or `SystemError`.
  init(
    _ settings: KafkaBus.Settings,
    loop: EventLoop,
    observer: KafkaObserver,
    lost: @escaping @Sendable (String) -> Void
  ) throws {
    self.settings = settings
    answered = FileDescriptor(owning: try makeSemaphore())
    self.lost = lost
    trim = try TopicTrim(settings, loop: loop, observer: observer)
    transactor = try KafkaTransactor(
      settings.producer,
      loop: loop,
      observer: observer,
      limit: settings.patience
    )
  }

  /// Shuts out whoever wrote before.
  /// - Returns: the offset of a message that lies behind everything they wrote.
  func takeOver() async throws -> Int64 {
    try await transactor.open()
    let receipts = try await transactor.commit([settings.entry(.mark)])
    guard let offset = receipts.first?.offset else { throw KafkaError.timedOut }
    return offset
  }

  /// From here on batches are taken.
  /// - Parameters:
  ///   - last: the last record that the topic holds; 0: none.
  ///   - barrier: what `takeOver` answered.
  ///   - log: that of the folder.
  func begin(after last: UInt64, behind barrier: Int64, _ log: EventLog) {
    state.withLock { $0.last = last }
    trim.begin(behind: barrier) { [weak log] in log?.first?.offset }
  }

  /// Records have left the folder. Called on the log thread.
  func released() { trim.released() }

  func store(_ records: [ReplicaRecord]) throws(BusError) {
    guard let first = records.first, let last = records.last else { return }
    let refusal = state.withLock { state -> BusError? in
      if let end = state.end { return .failed(end) }
      guard let known = state.last else { return .failed("the topic was not read yet") }
      guard first.offset > known else {
        // The topic has a batch that the folder could not take.
        state.end = "the folder could not take what the topic holds already"
        return .failed(state.end ?? "")
      }
      return nil
    }
    if let refusal {
      tell()
      throw refusal
    }
    let entries = records.flatMap { ReplicaMessage.messages(of: $0) }.map { settings.entry($0) }
    do throws(KafkaTransactionError) {
      let place = try commit(entries).get()
      state.withLock { $0.last = last.offset }
      if let place { trim.confirmed(by: place) }
    } catch {
      if case .aborted = error { throw .failed("\(error)") }
      state.withLock { $0.end = $0.end ?? "\(error)" }
      tell()
      throw .failed("\(error)")
    }
  }

  /// Waits on this thread, which has nothing else to do.
  /// - Returns: the place of the last message.
  private func commit(_ entries: [KafkaEntry]) -> Result<Int64?, KafkaTransactionError> {
    Task {
      let result: Result<Int64?, KafkaTransactionError>
      do throws(KafkaTransactionError) {
        result = .success(try await transactor.commit(entries).last?.offset)
      } catch { result = .failure(error) }
      answer.withLock { $0 = result }
      signalSemaphore(answered.raw)
    }
    while true {
      let result = answer.withLock { answer in
        defer { answer = nil }
        return answer
      }
      if let result { return result }
      waitSemaphore(answered.raw, atMost: .seconds(60))
    }
  }

  private func tell() {
    let why = state.withLock { state -> String? in
      guard let end = state.end, !state.wasTold else { return nil }
      state.wasTold = true
      return end
    }
    trim.stop()
    if let why { lost(why) }
  }

  var name: String { settings.replicaName }

  func close() async {
    await trim.close()
    await transactor.close()
  }
}
