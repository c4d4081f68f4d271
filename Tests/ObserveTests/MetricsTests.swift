import Foundation
import Testing

@testable import Observe

@Suite struct MetricsTests {
  @Test("counters count by their label values and come out sorted")
  func counters() {
    let metrics = Metrics()
    let requests = metrics.counter("requests_total", help: "Asked.", labels: ["port", "status"])
    requests.increment(["8080", "404"])
    requests.increment(["8080", "202"], by: 3)
    requests.increment(["8080", "202"])
    requests.increment(["443", "202"])
    #expect(
      body(metrics) == """
        # HELP requests_total Asked.
        # TYPE requests_total counter
        requests_total{port="443",status="202"} 1
        requests_total{port="8080",status="202"} 4
        requests_total{port="8080",status="404"} 1

        """
    )
  }

  @Test("a metric without labels is there as zero before anything is counted")
  func zero() {
    let metrics = Metrics()
    _ = metrics.counter("a_total", help: "A.")
    #expect(body(metrics) == "# HELP a_total A.\n# TYPE a_total counter\na_total 0\n")
  }

  @Test("gauges are set, moved and asked for; one without an answer is left out")
  func gauges() {
    let metrics = Metrics()
    let gauge = metrics.gauge("b", help: "B.")
    gauge.set(2)
    gauge.add(-0.5)
    metrics.gauge("c", help: "C.") { .infinity }
    metrics.gauge("d", help: "D.") { nil }
    #expect(
      body(metrics) == """
        # HELP b B.
        # TYPE b gauge
        b 1.5
        # HELP c C.
        # TYPE c gauge
        c +Inf

        """
    )
  }

  @Test("histograms are cumulative, a value on a bound is within it")
  func histograms() {
    let metrics = Metrics()
    let sizes = metrics.histogram("sizes", help: "S.", labels: ["k"], buckets: [0.5, 1, 10])
    for value in [0.5, 0.75, 1, 11] { sizes.observe(value, ["x"]) }
    #expect(
      body(metrics) == """
        # HELP sizes S.
        # TYPE sizes histogram
        sizes_bucket{k="x",le="0.5"} 1
        sizes_bucket{k="x",le="1"} 3
        sizes_bucket{k="x",le="10"} 3
        sizes_bucket{k="x",le="+Inf"} 4
        sizes_sum{k="x"} 13.25
        sizes_count{k="x"} 4

        """
    )
  }

  @Test("help and label values cannot break out of their line")
  func escaping() {
    let metrics = Metrics()
    metrics.counter("e_total", help: "a\\b\n\"c\"", labels: ["k"]).increment(["\"x\"\n\\y"])
    let text = metrics.render()
    #expect(text.contains(#"# HELP e_total a\\b\n"c""# + "\n"))
    #expect(text.contains(#"e_total{k="\"x\"\n\\y"} 1"# + "\n"))
  }

  @Test("over the limit of series, known ones still count and the rest is counted as dropped")
  func cardinality() {
    let metrics = Metrics(seriesLimit: 2)
    let counter = metrics.counter("n_total", help: "N.", labels: ["id"])
    let other = metrics.counter("o_total", help: "O.", labels: ["id"])
    for id in 0..<5 { counter.increment(["\(id)"]) }
    other.increment(["x"])
    counter.increment(["1"])
    let text = metrics.render()
    #expect(text.contains("n_total{id=\"1\"} 2\n"))
    #expect(!text.contains("n_total{id=\"2\"}"))
    #expect(!text.contains("o_total"))
    #expect(text.contains("signalbox_metrics_dropped_series_total 4\n"))
  }

  @Test("the same metric asked for twice is one")
  func sharing() {
    let metrics = Metrics()
    metrics.counter("n_total", help: "N.").increment()
    metrics.counter("n_total", help: "N.").increment()
    #expect(metrics.render().contains("n_total 2\n"))
  }

  @Test("counting from many threads loses nothing")
  func threads() {
    let metrics = Metrics()
    let counter = metrics.counter("n_total", help: "N.", labels: ["t"])
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      for _ in 0..<1000 { counter.increment(["\(thread % 2)"]) }
    }
    let text = metrics.render()
    #expect(text.contains("n_total{t=\"0\"} 4000\n") && text.contains("n_total{t=\"1\"} 4000\n"))
  }

  @Test("our own metrics carry the names that dashboards rely on")
  func instruments() {
    let metrics = Metrics()
    let instruments = Instruments(in: metrics)
    instruments.requests.increment(["12000", "202"])
    instruments.appended.increment(["github", "push"])
    instruments.refused.increment(["github", "push", "signature"])
    instruments.batchRecords.observe(7)
    instruments.syncSeconds.observe(0.0003)
    instruments.matched.increment(["build", "push"])
    instruments.firings.increment(["build", "make"])
    instruments.outcomes.increment(["build", "make", "succeeded"])
    let text = metrics.render()
    for line in [
      #"signalbox_http_requests_total{port="12000",status="202"} 1"#,
      #"signalbox_events_appended_total{source="github",event="push"} 1"#,
      #"signalbox_events_refused_total{source="github",event="push",reason="signature"} 1"#,
      #"signalbox_log_batch_records_bucket{le="5"} 0"#,
      #"signalbox_log_batch_records_bucket{le="10"} 1"#,
      #"signalbox_log_sync_seconds_count 1"#,
      #"signalbox_sensor_matched_total{sensor="build",dependency="push"} 1"#,
      #"signalbox_firings_total{sensor="build",trigger="make"} 1"#,
      #"signalbox_outcomes_total{sensor="build",trigger="make",phase="succeeded"} 1"#,
    ] {
      #expect(text.contains(line + "\n"), "\(line)")
    }
  }

  /// What is rendered before the registry's own last metric.
  private func body(_ metrics: Metrics) -> String {
    let text = metrics.render()
    return text.range(of: "# HELP signalbox_metrics_dropped").map { String(text[..<$0.lowerBound]) }
      ?? text
  }
}
