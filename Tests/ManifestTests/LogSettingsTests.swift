import Manifest
import Testing

@Suite struct LogSettingsTests {
  private func read(_ own: String) -> (settings: [LogSettings], problems: [String]) {
    let diagnostics = Diagnostics()
    let text =
      "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {name: default}\n"
      + "spec: {jetstream: {}, signalbox: \(own)}\n"
    let set = ManifestReader(sourceKinds: [], triggerKinds: [], diagnostics)
      .read(text: text, file: "bus.yaml")
    return (
      set.buses.map(\.settings),
      diagnostics.sorted.filter { $0.severity == .error }.map(\.message)
    )
  }

  @Test("an EventBus says how long and how much the log keeps")
  func settings() {
    let found = read(
      "{retention: {maxAge: 72h, maxBytes: 5000000, holdFor: 1h}, deduplication: {window: 30m}}"
    )
    var expected = LogSettings()
    expected.maxAge = .seconds(72 * 3600)
    expected.maxBytes = 5_000_000
    expected.holdFor = .seconds(3600)
    expected.window = .seconds(1800)
    #expect(found.settings == [expected] && found.problems.isEmpty)
    #expect(read("{}").settings == [LogSettings()])
  }

  @Test("of several the larger value holds")
  func merged() {
    let a = read("{retention: {maxAge: 2h, maxBytes: 2000000}}").settings[0]
    let b = read("{retention: {maxAge: 3h}, deduplication: {window: 1m}}").settings[0]
    let both = a.merged(with: b)
    #expect(both.maxAge == .seconds(3 * 3600) && both.maxBytes == 2_000_000)
    #expect(both.window == .seconds(60) && both.holdFor == nil)
  }

  @Test(
    "what is misspelt or too small is an error",
    arguments: [
      "{retentoin: {}}", "{retention: {maxage: 1h}}", "{retention: {maxAge: soon}}",
      "{retention: {maxBytes: 1000}}", "{deduplication: {window: -1s}}",
    ]
  )
  func wrong(own: String) {
    #expect(read(own).problems.count == 1)
  }
}
