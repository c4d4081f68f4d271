import Bus
import Engine
import EventLog

extension EventLogReader {
  /// Hands every record to what may not understand it.
  /// - Throws: `LogError` for a folder that cannot be read; `NoteError` for a record that a newer version
  ///   wrote.
  func fold(_ take: (Record) throws(NoteError) -> Void) throws {
    var pass = try Pass(self, .first)
    while let record = try pass.next() { try take(record) }
  }
}
