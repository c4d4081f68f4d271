import Synchronization

/// A number that only grows.
package struct Counter: Sendable {
  let family: Family

  /// - Parameter values: one for each label, in the order of the labels.
  package func increment(_ values: [String] = [], by amount: Int = 1) {
    precondition(amount >= 0, "a counter only grows")
    family.update(values) { $0.count &+= amount }
  }
}

/// A number that goes up and down.
package struct Gauge: Sendable {
  let family: Family

  package func set(_ value: Double, _ values: [String] = []) {
    family.update(values) { $0.sum = value }
  }

  package func add(_ amount: Double, _ values: [String] = []) {
    family.update(values) { $0.sum += amount }
  }
}

/// Observations counted by size.
package struct Histogram: Sendable {
  let family: Family

  package func observe(_ value: Double, _ values: [String] = []) {
    family.update(values) { series in
      series.count &+= 1
      series.sum += value
      let bucket = family.buckets.firstIndex { value <= $0 }
      if let bucket { series.buckets[bucket] &+= 1 }
    }
  }
}

/// One metric: its description and its series by label values.
final class Family: Sendable {
  enum Kind: Sendable {
    case counter
    case gauge
    case callback(@Sendable () -> Double?)
    case histogram([Double])

    var word: String {
      switch self {
      case .counter: "counter"
      case .gauge, .callback: "gauge"
      case .histogram: "histogram"
      }
    }
  }

  /// A counter uses `count`, a gauge `sum`, a histogram all three.
  struct Series: Sendable {
    var count = 0
    var sum = 0.0
    /// Observations that fell into each bucket and none before it.
    var buckets: [Int]
  }

  let name: String
  let help: String
  let labels: [String]
  let kind: Kind
  let buckets: [Double]
  private let budget: SeriesBudget
  private let series: Mutex<[[String]: Series]>

  init(name: String, help: String, labels: [String], kind: Kind, budget: SeriesBudget) {
    self.name = name
    self.help = help
    self.labels = labels
    self.kind = kind
    self.budget = budget
    if case .histogram(let bounds) = kind { buckets = bounds } else { buckets = [] }
    // A metric without labels is shown as zero from the start, so that its rate has a beginning.
    let empty = Series(buckets: Array(repeating: 0, count: buckets.count))
    series = Mutex(labels.isEmpty ? [[]: empty] : [:])
  }

  func update(_ values: [String], _ change: (inout Series) -> Void) {
    precondition(values.count == labels.count, "\(name) has \(labels.count) labels")
    series.withLock { series in
      if let index = series.index(forKey: values) {
        change(&series.values[index])
      } else if budget.take() {
        var new = Series(buckets: Array(repeating: 0, count: buckets.count))
        change(&new)
        series[values] = new
      }
    }
  }

  // MARK: Text

  /// Its lines without the head; empty where there is nothing to show.
  /// - Parameter partition: the value of a label more; empty: none.
  func series(partition: String) -> String {
    let own = partition.isEmpty ? [] : [Self.pair("partition", partition)]
    var text = ""
    if case .callback(let read) = kind {
      return read().map { "\(name)\(braced(own)) \(number($0))\n" } ?? ""
    }
    let snapshot = series.withLock { $0 }
    for (values, series) in snapshot.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      let pairs = own + zip(labels, values).map { Self.pair($0, $1) }
      switch kind {
      case .counter: text += "\(name)\(braced(pairs)) \(series.count)\n"
      case .gauge, .callback: text += "\(name)\(braced(pairs)) \(number(series.sum))\n"
      case .histogram: renderHistogram(series, pairs, into: &text)
      }
    }
    return text
  }

  private static func pair(_ label: String, _ value: String) -> String {
    "\(label)=\"\(escapedValue(value))\""
  }

  static func label(partition: String) -> String {
    partition.isEmpty ? "" : braced([pair("partition", partition)])
  }

  private func renderHistogram(_ series: Series, _ pairs: [String], into text: inout String) {
    var total = 0
    for (bound, count) in zip(buckets, series.buckets) {
      total += count
      text += "\(name)_bucket\(braced(pairs + ["le=\"\(number(bound))\""])) \(total)\n"
    }
    text += "\(name)_bucket\(braced(pairs + ["le=\"+Inf\""])) \(series.count)\n"
    text += "\(name)_sum\(braced(pairs)) \(number(series.sum))\n"
    text += "\(name)_count\(braced(pairs)) \(series.count)\n"
  }

  static func renderHead(_ name: String, _ help: String, _ type: String, into text: inout String) {
    text += "# HELP \(name) \(escapedHelp(help))\n# TYPE \(name) \(type)\n"
  }
}

private func braced(_ pairs: [String]) -> String {
  pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
}

/// As Prometheus reads it: whole numbers without a fraction, and its own words for the rest.
private func number(_ value: Double) -> String {
  if value.isNaN { return "NaN" }
  if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
  return Int(exactly: value).map(String.init) ?? value.description
}

private func escapedHelp(_ text: String) -> String { escaped(text, quote: false) }

private func escapedValue(_ text: String) -> String { escaped(text, quote: true) }

private func escaped(_ text: String, quote: Bool) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\"" where quote: result += "\\\""
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}
