import Event
import Expression
import JSON
import Sensor

extension VectorFormat {
  static let triggerParams = VectorFormat(
    name: "triggerparams",
    input: { item in
      let parameters = item["parameters"]?.text ?? ""
      return "\(item.text("mode")) \(parameters) to '\(item.text("object"))'"
        + " of \(item["events"]?.text ?? "")"
    },
    expected: { item in
      if item["expect_error"] == true { return "error" }
      // No payload and an empty one are the same request.
      return item["expect"] == "" || item["expect"] == .null ? "none" : item.text("expect")
    },
    found: { item, run in
      guard case .object(let members)? = item["events"] else {
        throw SkippedCase(reason: "no events")
      }
      var events = FiringEvents(members.map { ($0.key, vectorEvent($0.value)) })
      do {
        let parameters = try item.items("parameters").map { try parameter($0, run) }
        if item.text("mode") == "payload" {
          guard let bytes = try parameters.payload(&events), !bytes.isEmpty else { return "none" }
          return String(decoding: bytes, as: UTF8.self)
        }
        if item.items("parameters").contains(where: { isUnknown($0, members.map(\.key)) }) {
          return "error"
        }
        let object = Array(item.text("object").utf8)
        let applied = try parameters.applied(to: object, &events)
        return applied.isEmpty ? "none" : String(decoding: applied, as: UTF8.self)
      } catch is ParameterError { return "error" } catch is JSONPathError {
        return "error"
      }
    }
  )

  /// Whether a parameter that counts has an operation there is none of. A manifest with one is not
  /// loaded; the original finds out when it gets there, and never in a payload.
  private static func isUnknown(_ parameter: JSON, _ dependencies: [String]) -> Bool {
    let source = parameter["src"] ?? .null
    let operation = parameter.text("operation")
    guard !operation.isEmpty, Parameter.Operation(rawValue: operation) == nil else { return false }
    let hasValue = source["value"] != nil && source["value"] != .null
    return hasValue || dependencies.contains(source.text("dependencyName"))
  }

  private static func parameter(_ item: JSON, _ run: VectorRun) throws -> Parameter {
    let source = item["src"] ?? .null
    func path(_ key: String) throws -> JSONPath? {
      let text = source.text(key)
      return text.isEmpty ? nil : try JSONPath(text)
    }
    func template(_ key: String) -> Parameter.Template? {
      let text = source.text(key)
      if text.isEmpty { return nil }
      return { input in
        try? GoTemplate(parsing: text).execute(["Input": input], in: run.world)
      }
    }
    let destination = item.text("dest")
    return Parameter(
      dependency: source.text("dependencyName"),
      data: Parameter.Selector(key: try path("dataKey"), template: template("dataTemplate")),
      context: Parameter.Selector(
        key: try path("contextKey"),
        template: template("contextTemplate")
      ),
      value: source["value"] == .null ? nil : source["value"].map(\.asText),
      useRawData: source["useRawData"] == true,
      destination: destination.isEmpty ? nil : try JSONDestination(destination),
      operation: Parameter.Operation(rawValue: item.text("operation")) ?? .overwrite
    )
  }
}

/// The event of a case.
func vectorEvent(_ item: JSON) -> Event {
  let context = item["context"] ?? .null
  let time = vectorTime(context.text("time"))
  var event = Event(
    id: context.text("id"),
    namespace: "default",
    bus: "default",
    source: context.text("source"),
    type: context.text("type"),
    subject: context.text("subject"),
    time: Timestamp(nanoseconds: Int64(time.seconds) * 1_000_000_000 + Int64(time.nanoseconds)),
    data: vectorData(item) ?? []
  )
  event.dataContentType = context.text("datacontenttype")
  return event
}

/// The data of a case's event; nil for none.
func vectorData(_ event: JSON) -> [UInt8]? {
  if let raw = event["dataRaw"] { return raw == .null ? nil : Array(raw.asText.utf8) }
  return event["data"]?.spelled
}

/// A time of a case; that of the run where it has none.
func vectorTime(_ text: String) -> FilterTime {
  if text.isEmpty { return FilterTime(seconds: vectorNow, nanoseconds: 0) }
  let time = GoLayout("2006-01-02T15:04:05.999999999Z07:00").parse(text)
  return FilterTime(seconds: time?.seconds ?? 0, nanoseconds: time?.nanoseconds ?? 0)
}
