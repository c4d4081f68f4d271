import Synchronization

/// All the numbers the program shows, by name.
///
/// A metric is made once, with its label names, and kept by whoever counts with it; counting takes
/// the label values in the same order. The number of series is bounded: at the limit a new
/// combination of label values is not counted, and `signalbox_metrics_dropped_series_total` says
/// how often that happened.
package final class Metrics: Sendable {
  private let families = Mutex<[String: Family]>([:])
  private let budget: SeriesBudget

  /// - Parameter seriesLimit: how many combinations of label values are kept, over all metrics.
  package init(seriesLimit: Int = 10_000) {
    budget = SeriesBudget(limit: seriesLimit)
  }

  /// A number that only grows. Its name ends in `_total` by the convention of Prometheus.
  package func counter(_ name: String, help: String, labels: [String] = []) -> Counter {
    Counter(family: family(name, help, labels, .counter))
  }

  /// A number that goes up and down.
  package func gauge(_ name: String, help: String, labels: [String] = []) -> Gauge {
    Gauge(family: family(name, help, labels, .gauge))
  }

  /// A gauge whose value is asked for at every scrape; nil leaves it out of that scrape. `read`
  /// is called from the scraping thread and must not wait.
  package func gauge(
    _ name: String,
    help: String,
    read: @escaping @Sendable () -> Double?
  ) {
    _ = family(name, help, [], .callback(read))
  }

  /// Counts observations at or below each of `buckets`, which must grow.
  package func histogram(
    _ name: String,
    help: String,
    labels: [String] = [],
    buckets: [Double]
  ) -> Histogram {
    precondition(zip(buckets, buckets.dropFirst()).allSatisfy(<), "buckets of \(name) must grow")
    return Histogram(family: family(name, help, labels, .histogram(buckets)))
  }

  /// Everything in the text format 0.0.4 of Prometheus, whose media type is `contentType`.
  /// Metrics are in the order of their names and series in that of their label values, so two
  /// scrapes of the same numbers are the same bytes.
  package func render() -> String { Self.render([("", self)]) }

  /// Those of several registries as one text.
  /// - Parameter parts: each with the value of the label `partition` that tells its series from the
  ///   others'; an empty one adds no label.
  package static func render(_ parts: [(partition: String, metrics: Metrics)]) -> String {
    var families: [String: [(partition: String, family: Family)]] = [:]
    for (partition, metrics) in parts {
      for family in metrics.families.withLock({ Array($0.values) }) {
        families[family.name, default: []].append((partition, family))
      }
    }
    var text = ""
    for (_, all) in families.sorted(by: { $0.key < $1.key }) {
      let series = all.map { $1.series(partition: $0) }.joined()
      guard let first = all.first?.family, !series.isEmpty else { continue }
      Family.renderHead(first.name, first.help, first.kind.word, into: &text)
      text += series
    }
    Family.renderHead(
      SeriesBudget.metric,
      "Counts lost because the limit of series was reached.",
      "counter",
      into: &text
    )
    for (partition, metrics) in parts {
      let label = Family.label(partition: partition)
      text += "\(SeriesBudget.metric)\(label) \(metrics.budget.dropped)\n"
    }
    return text
  }

  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// Asked for twice in the same shape, a metric is the same one.
  private func family(
    _ name: String,
    _ help: String,
    _ labels: [String],
    _ kind: Family.Kind
  ) -> Family {
    precondition(isMetricName(name) && labels.allSatisfy(isLabelName), "bad name in \(name)")
    return families.withLock { families in
      if let known = families[name] {
        precondition(
          known.kind.word == kind.word && known.labels == labels,
          "\(name) has two shapes"
        )
        return known
      }
      let family = Family(name: name, help: help, labels: labels, kind: kind, budget: budget)
      families[name] = family
      return family
    }
  }
}

/// How many series may still be made, for all metrics of a registry together.
final class SeriesBudget: Sendable {
  static let metric = "signalbox_metrics_dropped_series_total"

  private let left: Mutex<Int>
  private let refusals = Atomic<Int>(0)

  init(limit: Int) { left = Mutex(limit) }

  var dropped: Int { refusals.load(ordering: .relaxed) }

  func take() -> Bool {
    let granted = left.withLock { left in
      guard left > 0 else { return false }
      left -= 1
      return true
    }
    if !granted { refusals.add(1, ordering: .relaxed) }
    return granted
  }
}

private func isMetricName(_ name: String) -> Bool {
  guard let first = name.utf8.first, !isDigit(first) else { return false }
  return name.utf8.allSatisfy { isWord($0) || $0 == UInt8(ascii: ":") }
}

/// `le` belongs to histograms and names with two underscores in front to Prometheus itself.
private func isLabelName(_ name: String) -> Bool {
  guard let first = name.utf8.first, !isDigit(first) else { return false }
  return name.utf8.allSatisfy(isWord) && name != "le" && !name.hasPrefix("__")
}

private func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }

private func isWord(_ byte: UInt8) -> Bool {
  isDigit(byte) || (97...122).contains(byte | 0x20) || byte == UInt8(ascii: "_")
}
