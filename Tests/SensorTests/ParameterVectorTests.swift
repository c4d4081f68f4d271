import Event
import Expression
import Foundation
import JSON
import Sensor
import Testing

@Suite struct ParameterVectorTests {
  @Test("parameters and payloads come out as the original makes them")
  func vectors() throws {
    let cases = try vectorCases("triggerparams")
    var failed = 0
    for item in cases where item["panic"] != true {
      let found = result(item)
      let wanted: JSON? = item["expect_error"] == true ? nil : item["expect"]
      // No payload and an empty one are the same request.
      if found != wanted && !(wanted == .null && found == "") {
        failed += 1
        let shown = "found \(found?.text ?? "error"), expected \(wanted?.text ?? "error")"
        Issue.record("\(item.text("id")): \(shown)")
      }
    }
    let panics = cases.count { $0["panic"] == true }
    if !cases.isEmpty {
      print("vectors: triggerparams \(cases.count - failed - panics) ran, \(failed) failed")
    }
  }

  /// nil where it is an error.
  private func result(_ item: JSON) -> JSON? {
    guard case .object(let members)? = item["events"] else { return nil }
    var events = FiringEvents(members.map { ($0.key, event($0.value)) })
    do {
      let parameters = try (item["parameters"]?.items ?? []).map(parameter)
      if item.text("mode") == "payload" {
        guard let bytes = try parameters.payload(&events) else { return .null }
        return .string(String(decoding: bytes, as: UTF8.self))
      }
      let object = Array(item.text("object").utf8)
      return .string(
        String(decoding: try parameters.applied(to: object, &events), as: UTF8.self)
      )
    } catch { return nil }
  }

  private struct UnknownOperation: Error {}

  private func parameter(_ item: JSON) throws -> Parameter {
    let source = item["src"] ?? .null
    func path(_ key: String) throws -> JSONPath? {
      let text = source.text(key)
      return text.isEmpty ? nil : try JSONPath(text)
    }
    func template(_ key: String) -> Parameter.Template? {
      let text = source.text(key)
      if text.isEmpty { return nil }
      return { input in
        try? GoTemplate(parsing: text).execute(["Input": input], in: vectorWorld)
      }
    }
    let destination = item.text("dest")
    let operation = item.text("operation")
    if !operation.isEmpty, Parameter.Operation(rawValue: operation) == nil {
      throw UnknownOperation()
    }
    return Parameter(
      dependency: source.text("dependencyName"),
      data: Parameter.Selector(key: try path("dataKey"), template: template("dataTemplate")),
      context: Parameter.Selector(
        key: try path("contextKey"),
        template: template("contextTemplate")
      ),
      value: source["value"].map(\.asText),
      useRawData: source["useRawData"] == true,
      destination: destination.isEmpty ? nil : try JSONDestination(destination),
      operation: Parameter.Operation(rawValue: operation) ?? .overwrite
    )
  }

  private func event(_ item: JSON) -> Event {
    let context = item["context"] ?? .null
    var event = Event(
      id: context.text("id"),
      namespace: "default",
      bus: "default",
      source: context.text("source"),
      type: context.text("type"),
      subject: context.text("subject"),
      time: time(context.text("time")),
      data: []
    )
    event.dataContentType = context.text("datacontenttype")
    if case .string(let raw)? = item["dataRaw"] { event.data = Array(raw.utf8) }
    if let data = item["data"] { event.data = spelled(data) }
    return event
  }

  private func time(_ text: String) -> Timestamp {
    let seconds = ISO8601DateFormatter().date(from: text)?.timeIntervalSince1970 ?? 0
    return Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000)
  }
}
