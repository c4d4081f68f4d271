import Event
import Expression
import JSON
import Sensor

extension VectorFormat {
  static let transform = VectorFormat(
    name: "transform",
    input: { "\($0["transform"]?.text ?? "") of \($0["event"]?.text ?? "no event")" },
    expected: { item in
      if item["expect_unchanged"] == true { return "unchanged" }
      let transform = item["transform"] ?? .null
      if transform.text("jq").isEmpty, transform.text("script").isEmpty { return "unchanged" }
      return item["expect"]?.canonical.asText ?? ""
    },
    found: { item, run in
      guard let transform = try transform(item["transform"] ?? .null, run),
        let data = vectorData(item["event"] ?? .null)
      else { return "unchanged" }
      // An event of ours without bytes is one without data; a case has both.
      if data.isEmpty { return "error" }
      guard case .success(let transform) = transform else { return "error" }
      let changed: Event
      do throws(TransformError) {
        changed = try transform.applied(to: vectorEvent(item["event"] ?? .null))
      } catch { return "error" }
      return try JSON(parsing: changed.data).canonical.text
    }
  )

  /// nil where nothing is configured; `jq` wins over `script`.
  private static func transform(
    _ fields: JSON,
    _ run: VectorRun
  ) throws -> Result<EventTransform, any Error>? {
    let (program, script) = (fields.text("jq"), fields.text("script"))
    if !program.isEmpty {
      return Result { EventTransform(try JQProgram(program), in: run.workers) }
    }
    if !script.isEmpty { return Result { EventTransform(try LuaScript(script)) } }
    return nil
  }
}
