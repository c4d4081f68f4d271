import Expression
import JSON

/// The deliberate differences from the originals, each with its reason.
enum Difference {
  /// Why a case may differ; nil where it must not.
  static func of(_ item: JSON, _ format: VectorFormat) -> String? {
    if item["quirk"] == true { return "an accident of the original's machinery" }
    if item["panic"] == true { return "the original crashes" }
    if let reason = byID[item.text("id")] { return reason }
    guard format.name == VectorFormat.goTemplate.name,
      let template = try? GoTemplate(parsing: item.text("template"))
    else { return nil }
    return template.differingFunctions.first.flatMap { name in
      TemplateFunctions.differences[name].map { "\(name): \($0)" }
    }
  }

  /// By case.
  private static let byID: [String: String] = [:]
}
