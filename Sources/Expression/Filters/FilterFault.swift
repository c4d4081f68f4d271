import JSON

/// The clause of a filter that decided against an event, with what it asks for and what it found.
package struct FilterFault: Equatable, Sendable {
  /// Where it stands: `data[0]`, `exprs[1]`, `context.type`, `time`, `script`, `signalbox.paths`.
  package var clause: String
  /// In words that follow "expected".
  package let wanted: String
  /// In words that follow "found".
  package let found: String
  /// Whether it could not be judged; otherwise it was false.
  package let isError: Bool

  package init(clause: String, wanted: String, found: String, isError: Bool = false) {
    self.clause = clause
    self.wanted = wanted
    self.found = found
    self.isError = isError
  }

  /// nil: it let the event pass.
  init?(_ verdict: FilterVerdict, clause: String, wanted: String) {
    switch verdict {
    case .pass: return nil
    case .refused(let why): self.init(clause: clause, wanted: wanted, found: why)
    case .error(let why): self.init(clause: clause, wanted: wanted, found: why, isError: true)
    }
  }

  /// A value for people: JSON, and not too long.
  static func shown(_ value: JSONValue) -> String {
    let text = String(decoding: value.raw.prefix(200), as: UTF8.self)
    return value.raw.count > 200 ? text + "…" : text
  }
}

extension EventFilter {
  /// Why an event does not pass: the clause that decides or, where one of several would do, all
  /// of them. Empty: it passes.
  package func faults(_ event: FilterSubject) -> [FilterFault] {
    let verdict = evaluate(event)
    if verdict == .pass { return [] }
    let endsAtFirst = join == .all && mode == .fixed
    var kinds: [[FilterFault]] = []
    func add(_ faults: @autoclosure () -> [FilterFault]?) {
      if endsAtFirst, !kinds.isEmpty { return }
      guard let faults = faults(), !faults.isEmpty else { return }
      kinds.append(faults)
    }
    add(faults("exprs", exprs, event))
    add(faults("data", data, event))
    add(context?.faults(event))
    add(timeFaults(event))
    add(faults("script", script, event))
    add(faults("signalbox.paths", paths, event))
    if case .error = verdict {
      // What fails weighs more.
      kinds = kinds.map { $0.filter(\.isError) }.filter { !$0.isEmpty }
    }
    guard let first = kinds.first else {
      return [FilterFault(clause: "filters", wanted: "one that passes", found: "none configured")]
    }
    return join == .all ? first : kinds.flatMap(\.self)
  }

  private func faults(
    _ kind: String,
    _ judge: (any DataJudge)?,
    _ event: FilterSubject
  ) -> [FilterFault]? {
    guard let judge else { return nil }
    return judge.faults(event.data, at: event.time).map { fault in
      var named = fault
      named.clause = kind + fault.clause
      return named
    }
  }

  private func timeFaults(_ event: FilterSubject) -> [FilterFault]? {
    switch time {
    case .success(let filter)?:
      let verdict = filter.evaluate(event.time)
      return FilterFault(verdict, clause: "time", wanted: filter.description).map { [$0] }
    case .failure(let error)?:
      return [
        FilterFault(clause: "time", wanted: "a span of the day", found: "\(error)", isError: true)
      ]
    case nil: return nil
    }
  }
}
