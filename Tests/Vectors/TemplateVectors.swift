import Expression
import JSON

extension VectorFormat {
  static let goTemplate = VectorFormat(
    name: "gotemplate",
    input: { "\($0.text("template")) with \($0["data"]?.text ?? "null")" },
    expected: { item in
      item.string("expect") ?? "error in phase \(item.text("phase"))"
    },
    found: { item, run in
      let data = GoValue(item["data"] ?? .null, integers: item.string("num") == "int")
      do throws(TemplateError) {
        return try GoTemplate(parsing: item.text("template")).execute(data, in: run.world)
      } catch {
        switch error.phase {
        case .parse: return "error in phase parse"
        case .execution: return "error in phase exec"
        case .limit: return "error: \(error)"
        }
      }
    }
  )
}
