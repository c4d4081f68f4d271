/// One test that a manifest carries: under `signalbox: {tests: [...]}` of its sensor, or in a file
/// `*_test.yaml` beside it.
package struct TestManifest: Sendable {
  package let name: String
  /// `metadata.name`, or `namespace/name`; nil where the file has one sensor.
  package let sensor: String?
  /// When the clock starts, in RFC 3339; nil: the default.
  package let start: String?
  package let events: [TestEvent]
  /// How long the clock goes on behind the last event.
  package let wait: Duration
  /// All firings, in their order.
  package let firings: [TestFiring]
  package let refusals: [TestRefusal]
  /// What triggers hold at the end: event ids by dependency, by trigger; nil: not looked at.
  package let state: [(trigger: String, held: [(key: String, value: String)])]?
  package let mark: Mark
  /// The path from its document's root.
  package let path: String
}

/// An event that a test gives.
package struct TestEvent: Sendable {
  package enum Data: Sendable {
    /// A value as JSON, or a text byte for byte.
    case value(Node)
    case text(String)
    /// The content of a file, by its path beside the manifest.
    case file(String)
    /// A whole event of a data folder, by its id.
    case stored(String)
    case none
  }

  package let id: String?
  /// Gives it the source and name of this dependency's events.
  package let dependency: String?
  package let source: String?
  package let event: String?
  package let type: String?
  package let contentType: String?
  /// In RFC 3339; nil: the clock's.
  package let time: String?
  package let data: Data
  /// How long the clock goes on before it.
  package let after: Duration
  package let mark: Mark
  package let path: String
}

/// A firing that a test expects.
package struct TestFiring: Sendable {
  package let trigger: String
  /// Event ids by dependency; nil: not looked at.
  package let events: [(key: String, value: String)]?
  /// The rendered payload: a value as JSON, or a text; nil: not looked at.
  package let payload: Node?
  /// Some of the trigger's fields as parameters leave them; mappings may leave out keys.
  package let fields: Node?
  /// When it starts, in RFC 3339; nil: not looked at.
  package let time: String?
  package let mark: Mark
  package let path: String
}

/// An event that a test expects not to fire a trigger.
package struct TestRefusal: Sendable {
  package let event: String
  package let trigger: String
  /// A part of the reason; nil: any.
  package let reason: String?
  package let mark: Mark
  package let path: String
}

extension TestManifest: ManifestBlock {
  package init(from block: Block) {
    name = block.requiredString("name")
    sensor = block.string("sensor")
    start = block.string("at")
    wait = block.duration("wait") ?? .zero
    events = block.blocks("events").map { TestEvent(from: $0) }
    firings = block.blocks("firings").map { TestFiring(from: $0) }
    refusals = block.blocks("notFired").map { TestRefusal(from: $0) }
    if block.contains("state") {
      let state = block.block("state")
      self.state = block.named("state").map { entry in
        (entry.key, state?.stringMap(entry.key) ?? [])
      }
      state?.finish()
    } else {
      state = nil
    }
    mark = block.mark
    path = block.path
    if events.isEmpty { block.error("events", "found none, expected at least one") }
    block.finish()
  }
}

extension TestEvent {
  init(from block: Block) {
    id = block.string("id")
    dependency = block.string("dependency")
    source = block.string("source")
    event = block.string("event")
    type = block.string("type")
    contentType = block.string("dataContentType")
    time = block.string("time")
    after = block.duration("after") ?? .zero
    var data: [Data] = []
    if let value = block.node("data") { data.append(.value(value)) }
    if let text = block.string("text") { data.append(.text(text)) }
    if let file = block.string("file") { data.append(.file(file)) }
    if let stored = block.string("stored") { data.append(.stored(stored)) }
    if data.count > 1 {
      block.error(nil, "found several of data, text, file and stored, expected one at most")
    }
    self.data = data.first ?? .none
    if case .stored? = data.first {
      for key in ["dependency", "source", "event", "type", "dataContentType", "time", "id"]
      where block.contains(key) {
        block.error(key, "found beside 'stored', which gives the whole event")
      }
    } else if dependency == nil, source == nil || event == nil {
      block.error(nil, "found no origin, expected a dependency, or source and event")
    } else if dependency != nil, source != nil || event != nil {
      block.error("dependency", "found beside source or event, expected either")
    }
    mark = block.mark
    path = block.path
    block.finish()
  }
}

extension TestFiring {
  init(from block: Block) {
    trigger = block.requiredString("trigger")
    events = block.stringMap("events")
    payload = block.node("payload")
    fields = block.node("fields")
    time = block.string("at")
    mark = block.mark
    path = block.path
    block.finish()
  }
}

extension TestRefusal {
  init(from block: Block) {
    event = block.requiredString("event")
    trigger = block.requiredString("trigger")
    reason = block.string("reason")
    mark = block.mark
    path = block.path
    block.finish()
  }
}

/// Tests that lie in a file of their own.
package struct TestFile: Sendable {
  package let path: String
  package let tests: [TestManifest]

  private static let endings = ["_test.yaml", "_test.yml", "_test.json"]

  /// Whether a file has tests and no manifests, by its name.
  package static func isTest(_ path: String) -> Bool { endings.contains { path.hasSuffix($0) } }

  /// The path of the manifest that a test file is named after, without its ending.
  package static func stem(_ path: String) -> String {
    for ending in endings where path.hasSuffix(ending) {
      return String(path.dropLast(ending.count))
    }
    return path
  }

  init(path: String, documents: [Node], _ diagnostics: Diagnostics) {
    self.path = path
    tests = documents.flatMap { document in
      let block = Block(document, path: "", diagnostics)
      let tests = block.blocks("tests").map { TestManifest(from: $0) }
      if tests.isEmpty { block.error("tests", "found none, expected at least one") }
      block.finish()
      return tests
    }
  }
}
