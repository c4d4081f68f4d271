import Engine
import Event
import Expression
import JSON
import Manifest
import Sensor

/// `rateLimit` and what triggers say under `signalbox`.
extension PlanBuilder {
  /// What holds back firings that are decided on.
  func flow(_ manifest: FlowManifest) -> FlowPlan {
    var flow = FlowPlan()
    // Argo Events lets 10 more through after a rest (spec section 4.6).
    let burst = compat.keeps(.rateBurst) ? 11 : 1
    flow.rate = manifest.rate.map { RateLimit(spacing: $0.spacing, burst: $0.burst ?? burst) }
    flow.concurrency = manifest.concurrency.map {
      ConcurrencyLimit(count: $0.limit, mode: ConcurrencyLimit.Mode(rawValue: $0.mode) ?? .queue)
    }
    flow.isSuspended = manifest.isSuspended
    return flow
  }

  /// Which events make a firing and when, as far as the condition does not say it.
  func timing(_ manifest: FlowManifest, _ condition: Condition, _ names: [String]) -> Timing {
    let used = condition.indices.sorted().map { names[$0] }
    var timing = Timing()
    timing.delay = manifest.delay
    timing.laneKey = key(manifest.concurrency?.key, used)
    if let correlate = manifest.correlate {
      if condition.isPureOr, correlate.atLeast == nil {
        refuse(manifest, "correlate", "without '&&' in conditions no event waits for another")
      }
      if let least = correlate.atLeast, least > used.count {
        refuse(manifest, "correlate.atLeast", "found \(least), but conditions name \(used.count)")
      }
      timing.gathering = .correlate(
        Correlation(
          key: key(correlate.key, used),
          within: correlate.within,
          mode: Correlation.Mode(rawValue: correlate.mode) ?? .latest,
          atLeast: correlate.atLeast
        )
      )
    }
    if let absent = manifest.absent {
      if !used.contains(absent.after) || used.count < 2 {
        refuse(
          manifest,
          "absent",
          "expected conditions that name '\(absent.after)' and what should follow it"
        )
      }
      timing.gathering = .absent(
        Absence(after: absent.after, within: absent.within, key: key(absent.key, used))
      )
    }
    if let batch = manifest.batch {
      if !condition.isPureOr {
        refuse(manifest, "batch", "is for conditions without '&&', of which each event counts")
      }
      timing.gathering = .batch(
        Batch(count: batch.count, within: batch.within, key: key(batch.key, used))
      )
    }
    timing.spacing = spacing(manifest, used)
    return timing
  }

  /// Where a new sensor begins to read.
  func start(_ manifest: SensorManifest) -> SensorPlan.Start {
    guard let (text, mark) = manifest.startFrom else { return .now }
    switch text {
    case "now": return .now
    case "beginning": return .beginning
    default:
      if let time = Timestamp(rfc3339: text) { return .time(time) }
      let expected = "now, beginning or a time such as 2026-01-01T00:00:00Z"
      report(mark, "spec.signalbox.startFrom", "found '\(text)', expected \(expected)")
      return .now
    }
  }

  private func spacing(_ manifest: FlowManifest, _ used: [String]) -> Timing.Spacing {
    if let debounce = manifest.debounce {
      return .debounce(
        Debounce(wait: debounce.wait, max: debounce.max, key: key(debounce.key, used))
      )
    }
    if let throttle = manifest.throttle {
      return .throttle(
        Throttle(limit: throttle.limit, per: throttle.per, key: key(throttle.key, used))
      )
    }
    return .none
  }

  private func refuse(_ manifest: FlowManifest, _ key: String, _ why: String) {
    report(manifest.mark, manifest.path + "." + key, why)
  }

  private func key(_ manifest: KeyManifest?, _ used: [String]) -> KeyRule? {
    guard let manifest else { return nil }
    var selectors: [String: Parameter.Selector] = [:]
    for name in used {
      let own = manifest.byDependency.first { $0.key == name }?.value
      guard let text = own ?? manifest.all else {
        report(manifest.mark, manifest.path, "found none for '\(name)', expected one")
        continue
      }
      selectors[name] = selector(text, manifest)
    }
    for (name, _) in manifest.byDependency where !used.contains(name) {
      let known = used.joined(separator: ", ")
      report(manifest.mark, manifest.path, "found '\(name)', expected one of \(known)")
    }
    return KeyRule(selectors)
  }

  private func selector(_ text: String, _ manifest: KeyManifest) -> Parameter.Selector? {
    if text.contains("{{") {
      return Parameter.Selector(
        key: nil,
        template: template(text, at: manifest.mark, field: manifest.path)
      )
    }
    do throws(JSONPathError) { return Parameter.Selector(key: try JSONPath(text)) } catch {
      report(manifest.mark, manifest.path, "\(error)")
      return nil
    }
  }
}
