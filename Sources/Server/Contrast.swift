import JSON
package import Manifest

/// A place in a manifest where it does something else than in Argo Events 1.9.
package struct Contrast: Sendable, CustomStringConvertible {
  package let difference: Difference
  package let mark: Mark
  package let field: String
  /// What there is, where the words of the difference do not tell.
  let found: String

  package var description: String {
    "\(mark): \(difference.rawValue): \(field): \(found.isEmpty ? "" : found + "; ")"
      + "here \(difference.here), in Argo Events 1.9 \(difference.there); \(difference.instead)"
  }
}

extension Difference {
  /// What is done without `compat`.
  var here: String {
    switch self {
    case .filterErrors: "one kind of filter that passes is enough, whatever fails beside it"
    case .dataValues: "the event passes where none of the values fits"
    case .exprFields: "an expression without fields is an error"
    case .timeBounds: "equal bounds are an error"
    case .conditionNames: "names are compared as they are"
    case .cronHours: "a schedule that names its hours comes once a day where clocks change"
    case .unjudgedEvents: "an event that no filter could judge becomes a dead letter"
    case .retries: "what fails is tried again"
    case .httpStatus: "only a status from 200 to 299 is success"
    case .messageParameters: "these parameters change the message"
    case .logInterval: "at most one line is written in the interval"
    case .rateBurst: "one starts at a time"
    case .sourceFilters: "the expression is read as the language is today"
    }
  }

  /// What Argo Events 1.9 does.
  var there: String {
    switch self {
    case .filterErrors: "an error refuses the event all the same"
    case .dataValues: "it passes where one of them does not"
    case .exprFields: "it is skipped"
    case .timeBounds: "they are the whole day"
    case .conditionNames: "'-' and '_' are the same, and the later dependency wins"
    case .cronHours: "it may come twice or not at all"
    case .unjudgedEvents: "it is dropped with a log line"
    case .retries: "nothing is: the attempt runs detached, once"
    case .httpStatus: "any is"
    case .messageParameters: "they are computed and ignored"
    case .logInterval: "every firing writes one"
    case .rateBurst: "11 start at once after a rest"
    case .sourceFilters: "release 1.15.5 of it may fail, which refuses the event"
    }
  }

  /// What to write so that both do the same.
  var instead: String {
    switch self {
    case .filterErrors: "write filters that cannot fail, or join them by 'and'"
    case .dataValues: "write one item with '!=' for each value"
    case .exprFields: "name the fields, or take the expression out"
    case .timeBounds: "take the time filter out"
    case .conditionNames: "give the dependencies names that differ in more"
    case .cronHours: "write the schedule in UTC"
    case .unjudgedEvents: "test for what may be missing in a script"
    case .retries: "write atLeastOnce: true beside retryStrategy"
    case .httpStatus: "list what counts in policy.status.allow"
    case .messageParameters: "put them beside the template, with the kind before dest"
    case .logInterval: "take intervalSeconds out"
    case .rateBurst: "write signalbox: {burst: 11} inside it for the same here"
    case .sourceFilters: "write an expression that both read alike (deploy/docs/expr.md)"
    }
  }
}

extension SensorManifest {
  /// Where this sensor does something else than in Argo Events 1.9.
  /// - Parameter installation: what holds where the manifest says nothing.
  package func contrasts(_ installation: Compatibility) -> [Contrast] {
    let compat = self.compat ?? installation
    var found = dependencies.flatMap(\.contrasts) + names
    found += triggers.flatMap { [$0] + $0.deadLetterTrigger }.flatMap(\.contrasts)
    return found.filter { !compat.keeps($0.difference) }
  }

  private var names: [Contrast] {
    var first: [String: String] = [:]
    return dependencies.compactMap { dependency in
      let folded = dependency.name.replacing("-", with: "_")
      guard let other = first.updateValue(dependency.name, forKey: folded),
        other != dependency.name
      else { return nil }
      return Contrast(
        difference: .conditionNames,
        mark: dependency.mark,
        field: dependency.path + ".name",
        found: "found '\(dependency.name)' beside '\(other)'"
      )
    }
  }
}

extension DependencyManifest {
  fileprivate var contrasts: [Contrast] {
    guard let filters else { return transform == nil ? [] : [unjudged] }
    let kinds = [
      filters.exprs != nil, filters.data != nil, filters.context != nil, filters.time != nil,
      filters.script != nil, filters.paths != nil,
    ]
    var found: [Contrast] = []
    func add(_ difference: Difference, _ mark: Mark, _ field: String, _ words: String = "") {
      found.append(Contrast(difference: difference, mark: mark, field: field, found: words))
    }
    if filters.filtersLogicalOperator == .or, kinds.count(where: \.self) > 1 {
      add(.filterErrors, mark, path + ".filtersLogicalOperator")
    }
    for item in filters.data ?? [] where item.comparator == .notEqual && item.value.count > 1 {
      add(.dataValues, item.mark, item.field, "found != with \(item.value.count) values")
    }
    for item in filters.exprs ?? [] where item.fields.isEmpty {
      add(.exprFields, item.mark, item.field)
    }
    if let time = filters.time, time.start == time.stop { add(.timeBounds, time.mark, time.field) }
    if filters.exprs != nil || filters.data != nil || filters.script != nil || transform != nil {
      found.append(unjudged)
    }
    return found
  }

  private var unjudged: Contrast {
    Contrast(difference: .unjudgedEvents, mark: mark, field: path, found: "")
  }
}

extension TriggerManifest {
  fileprivate var contrasts: [Contrast] {
    var found: [Contrast] = []
    func add(_ difference: Difference, _ field: String, _ words: String = "") {
      found.append(Contrast(difference: difference, mark: mark, field: field, found: words))
    }
    for reset in conditionsReset where namesHours(reset.cron, in: reset.timezone) {
      found.append(
        Contrast(difference: .cronHours, mark: reset.mark, field: reset.field, found: "")
      )
    }
    if retryStrategy != nil, !isAtLeastOnce { add(.retries, path + ".retryStrategy") }
    if kind == "http", policyStatusAllow == nil { add(.httpStatus, specPath) }
    if ["slack", "email"].contains(kind), !resourceParameters.isEmpty {
      add(.messageParameters, specPath + ".parameters")
    }
    if kind == "log", let seconds = spec.json["intervalSeconds"], seconds != .number("0") {
      add(.logInterval, specPath + ".intervalSeconds")
    }
    if let rate = flow.rate, rate.burst != 11 { add(.rateBurst, path + ".rateLimit") }
    return found
  }
}
