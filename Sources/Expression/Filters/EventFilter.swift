/// What filters look at of an event.
package struct FilterSubject: Sendable {
  package let type: String
  package let source: String
  package let subject: String
  package let dataContentType: String
  package let time: FilterTime
  package let data: FilterData

  package init(
    type: String,
    source: String,
    subject: String,
    dataContentType: String,
    time: FilterTime,
    data: FilterData
  ) {
    self.type = type
    self.source = source
    self.subject = subject
    self.dataContentType = dataContentType
    self.time = time
    self.data = data
  }
}

/// All filters of a dependency (spec section 7.1).
package struct EventFilter: Sendable {
  /// nil where a kind is not configured.
  package var exprs: (any DataJudge)?
  package var data: DataFilters?
  package var context: ContextFilter?
  /// What cannot be read is an error of every event, which only mode `argo-1.9` asks for.
  package var time: Result<TimeFilter, FilterError>?
  package var script: (any DataJudge)?
  /// `signalbox.paths`.
  package var paths: (any DataJudge)?
  /// `filtersLogicalOperator`.
  package var join: FilterJoin
  package var mode: CompatibilityMode

  package init(join: FilterJoin = .all, mode: CompatibilityMode = .fixed) {
    self.join = join
    self.mode = mode
  }

  /// Whether an event's data are looked at.
  package var readsData: Bool { exprs != nil || data != nil || script != nil || paths != nil }

  package func evaluate(_ event: FilterSubject) -> FilterVerdict {
    var tally = Tally(join: join, mode: mode)
    if let exprs { tally.add("exprs", exprs.evaluate(event.data, at: event.time)) }
    if let data, !tally.isOver { tally.add("data", data.evaluate(event.data, at: event.time)) }
    if let context, !tally.isOver { tally.add("context", context.evaluate(event)) }
    if let time, !tally.isOver { tally.add("time", judge(time, event.time)) }
    if let script, !tally.isOver {
      tally.add("script", script.evaluate(event.data, at: event.time))
    }
    if let paths, !tally.isOver { tally.add("paths", paths.evaluate(event.data, at: event.time)) }
    return tally.verdict
  }

  private func judge(
    _ filter: Result<TimeFilter, FilterError>,
    _ time: FilterTime
  ) -> FilterVerdict {
    switch filter {
    case .success(let filter): filter.evaluate(time)
    case .failure(let error): .error("\(error)")
    }
  }
}

/// What the kinds of filters said so far.
private struct Tally {
  let join: FilterJoin
  let mode: CompatibilityMode
  private var passes = false
  private var refusals: [String] = []
  private var errors: [String] = []

  init(join: FilterJoin, mode: CompatibilityMode) {
    self.join = join
    self.mode = mode
  }

  mutating func add(_ kind: String, _ verdict: FilterVerdict) {
    switch verdict {
    case .pass: passes = true
    case .refused(let why): refusals.append("\(kind): \(why)")
    case .error(let why): errors.append("\(kind): \(why)")
    }
  }

  /// Whether nothing that follows can change the verdict. In mode `argo-1.9` an error is looked
  /// for behind a refusal, and behind a kind that passes where one is enough.
  var isOver: Bool {
    switch (join, mode) {
    case (.all, .fixed): !errors.isEmpty || !refusals.isEmpty
    case (.all, .argo19): !errors.isEmpty
    case (.any, .fixed): passes
    case (.any, .argo19): false
    }
  }

  /// Any: as it is meant, one kind that passes is enough, whatever became of the others; in mode
  /// `argo-1.9` an error refuses the event all the same. No kind at all refuses it, too.
  var verdict: FilterVerdict {
    if join == .any, passes, mode == .fixed { return .pass }
    if !errors.isEmpty { return .error(errors.joined(separator: " / ")) }
    if join == .any, passes { return .pass }
    if join == .any, refusals.isEmpty { return .refused("no filter is configured") }
    return refusals.isEmpty ? .pass : .refused(refusals.joined(separator: " / "))
  }
}
