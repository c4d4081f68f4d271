import Bus
import Engine
import EventLog
package import EventSources
package import JSON
package import Plugin
import Posix

/// What event sources noted in a data folder, whether or not a program runs on it.
package struct PlacesFolder {
  /// By entry and key; empty where there is no log.
  package let places: [EventSourceName: [String: JSON]]

  /// Reads the whole log; those of all partitions, each of which notes what its sources do.
  /// - Throws: `LogError`, or `NoteError` when a newer version wrote the log; of one of several
  ///   partitions `DataFolder.Problem`.
  package init(data: String) throws {
    let all = try DataFolder(data).found.map { part in
      try part.naming { try Self.places(of: part) }
    }
    places = all.reduce(into: [:]) { $0.merge($1) { _, last in last } }
  }

  private static func places(
    of part: DataFolder.Part
  ) throws -> [EventSourceName: [String: JSON]] {
    let all = SourcePlaces()
    if Files.kind(part.log) != nil {
      try EventLogReader(folder: part.log).fold { record throws(NoteError) in
        try all.take(record)
      }
    }
    return all.all
  }

  /// What is to become of hooks whose entries are not among `sources`.
  package func leftHooks(_ sources: [any EventSource]) -> LeftHooks {
    LeftHooks(places, keepers: sources.compactMap { ($0 as? any HookOwner)?.keeper })
  }
}
