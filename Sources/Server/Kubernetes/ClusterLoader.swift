import Manifest
import Sensor

/// What came of one document.
struct DocumentVerdict: Sendable, Equatable {
  enum Force: Sendable, Equatable {
    /// What it says now is in force.
    case current
    /// What it said at an earlier generation stays in force.
    case previous(generation: Int)
    case none
  }

  struct Problem: Sendable, Equatable, CustomStringConvertible {
    let field: String
    let message: String

    var description: String { field.isEmpty ? message : "\(field): \(message)" }
  }

  let key: ClusterDocument.Key
  let uid: String
  /// The generation that was judged.
  let generation: Int
  let force: Force
  /// Why it is not in force as it is; none where it is.
  let errors: [Problem]
  let warnings: [Problem]
}

/// What came of all documents together.
struct ClusterLoad: Sendable {
  /// nil: something is wrong that is no document's fault.
  var plan: PlanBuilder.Plan?
  let inForce: [ClusterDocument]
  let verdicts: [DocumentVerdict]
  /// In the words of `validate`, for the operator.
  let messages: [String]

  var selection: ClusterSelection {
    ClusterSelection(
      documents: inForce,
      refused: Set(
        verdicts.filter { $0.force == .none && $0.key.kind == "Sensor" }.map {
          SensorID(namespace: $0.key.namespace, name: $0.key.name)
        }
      )
    )
  }
}

/// What of the objects is in force.
struct ClusterSelection: Sendable, Equatable {
  var documents: [ClusterDocument] = []
  /// Sensors that exist, of which nothing can be in force.
  var refused: Set<SensorID> = []
}

/// Why what was chosen cannot be in force.
struct ClusterLoadError: Error, CustomStringConvertible {
  let description: String
}

/// Finds out which documents can be in force together. One with an error falls back to what it was
/// when it was in force last, or is left out; the others load.
struct ClusterLoader {
  let documents: [ClusterDocument]
  /// Each document as it was when it was in force last.
  let last: [ClusterDocument.Key: ClusterDocument]
  let build: ([ClusterDocument]) -> (plan: PlanBuilder.Plan?, found: [Diagnostic])

  /// What was in force goes first and then the older ones: where two want the same port and path the
  /// newcomer is told so.
  private func ordered(_ chosen: [ClusterDocument.Key: ClusterDocument]) -> [ClusterDocument] {
    func isNews(_ document: ClusterDocument) -> Int {
      last[document.key]?.content == document.content ? 0 : 1
    }
    return chosen.values.sorted {
      (isNews($0), $0.created, $0.key) < (isNews($1), $1.created, $1.key)
    }
  }

  func load() -> ClusterLoad {
    var chosen = Dictionary(documents.map { ($0.key, $0) }) { _, last in last }
    let present = chosen
    var errors: [ClusterDocument.Key: [Diagnostic]] = [:]
    let keys = Dictionary(present.keys.map { ($0.description, $0) }) { first, _ in first }
    while true {
      let order = ordered(chosen)
      let (plan, found) = build(order)
      let wrong = Dictionary(grouping: found.filter { $0.severity == .error }) {
        keys[$0.mark.file]
      }
      guard wrong[nil] == nil, plan != nil || !wrong.isEmpty else {
        return ClusterLoad(
          plan: nil,
          inForce: [],
          verdicts: [],
          messages: (wrong[nil] ?? found).map(\.description)
        )
      }
      if wrong.isEmpty {
        let all = errors.sorted { $0.key < $1.key }.flatMap(\.value)
        return ClusterLoad(
          plan: plan,
          inForce: order,
          verdicts: verdicts(present, chosen, errors, found),
          messages: (all + found.filter { $0.severity == .warning }).map(\.description)
        )
      }
      for case (let key?, let problems) in wrong { fall(key, problems, &chosen, &errors) }
    }
  }

  /// Each document falls twice at the most.
  private func fall(
    _ key: ClusterDocument.Key,
    _ problems: [Diagnostic],
    _ chosen: inout [ClusterDocument.Key: ClusterDocument],
    _ errors: inout [ClusterDocument.Key: [Diagnostic]]
  ) {
    guard let failed = chosen[key] else { return }
    let isFirst = errors[key] == nil
    if isFirst { errors[key] = problems }
    let old = last[key]
    chosen[key] = isFirst && old?.uid == failed.uid && old?.content != failed.content ? old : nil
  }

  private func verdicts(
    _ present: [ClusterDocument.Key: ClusterDocument],
    _ chosen: [ClusterDocument.Key: ClusterDocument],
    _ errors: [ClusterDocument.Key: [Diagnostic]],
    _ found: [Diagnostic]
  ) -> [DocumentVerdict] {
    let warnings = Dictionary(grouping: found.filter { $0.severity == .warning }, by: \.mark.file)
    return present.values.sorted { $0.key < $1.key }.map { document in
      let problems = errors[document.key] ?? []
      let force: DocumentVerdict.Force =
        switch (problems.isEmpty, chosen[document.key]) {
        case (true, _): .current
        case (false, let old?): .previous(generation: old.generation)
        case (false, nil): .none
        }
      return DocumentVerdict(
        key: document.key,
        uid: document.uid,
        generation: document.generation,
        force: force,
        errors: problems.map { .init(field: $0.field, message: $0.message) },
        warnings: (warnings[document.key.description] ?? []).map {
          .init(field: $0.field, message: $0.message)
        }
      )
    }
  }
}
