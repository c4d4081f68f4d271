import Bus

/// What the engine knows, as a fold over a log from the first record that is left of it. One that
/// has let go of its beginning goes on from its first snapshot.
struct StateFold {
  private(set) var state = EngineState()
  /// Notes before the first that says which sensors there are.
  private var early: [Record] = []

  /// - Throws: `NoteError` for a record that a newer version wrote.
  mutating func take(_ record: Record) throws(NoteError) {
    if case .note(let note) = record.content, state.sensors.isEmpty {
      if note.kind == NoteKind.snapshot { try begin(at: note) } else { early.append(record) }
    }
    try state.fold(record)
  }

  private mutating func begin(at note: Note) throws(NoteError) {
    let snapshot = try Snapshot(note)
    state = EngineState(snapshot, [:])
    for record in early where record.position > snapshot.asOf { try state.fold(record) }
    early = []
  }
}
