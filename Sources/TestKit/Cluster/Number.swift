import Synchronization

/// A number that is known later than whoever needs it.
final class Number: Sendable {
  private let state = Mutex<Int?>(nil)

  var value: Int? {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}
