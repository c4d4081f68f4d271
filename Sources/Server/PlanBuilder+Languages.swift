import Expression
import JSON
import Manifest
import Posix
import Sensor

extension PlanBuilder {
  func transform(_ manifest: TransformManifest) -> EventTransform? {
    switch manifest.language {
    case .script:
      return compiledScript(manifest.text, manifest.mark, manifest.field).map { EventTransform($0) }
    case .jq:
      do throws(JQError) {
        let program = try JQProgram(manifest.text)
        try jq.check(program)
        return EventTransform(program, in: jq)
      } catch {
        report(manifest.mark, manifest.field, "\(error)")
        return nil
      }
    }
  }

  func compiledScript(_ text: String, _ mark: Mark, _ field: String) -> LuaScript? {
    do throws(LuaError) { return try LuaScript(text) } catch {
      report(mark, field, "\(error)")
      return nil
    }
  }

  /// A template over `.Input`; nil where there is none, or none that parses.
  func template(
    _ text: String?,
    _ parameter: ParameterManifest,
    _ key: String
  ) -> Parameter.Template? {
    guard let text else { return nil }
    return template(text, at: parameter.mark, field: parameter.path + ".src." + key)
  }

  /// A template over `.Input`; nil where it does not parse.
  func template(_ text: String, at mark: Mark, field: String) -> Parameter.Template? {
    let template: GoTemplate
    do throws(TemplateError) { template = try GoTemplate(parsing: text) } catch {
      report(mark, field, "\(error)")
      return nil
    }
    for name in template.differingFunctions {
      let why = TemplateFunctions.differences[name] ?? ""
      diagnostics.add(Diagnostic(.warning, mark, field: field, "\(name): \(why)"))
    }
    return { [world] input in
      do throws(TemplateError) {
        return try template.execute(["Input": input], in: world)
      } catch { return nil }
    }
  }
}
