import Expression
import JSON
import Posix
import Server

/// The languages in which sensors make something new of an event.
extension EvalLanguage {
  static let template = EvalLanguage(
    name: "template",
    usage: "template, of parameters and data filters, with the document as .Input"
  ) { (text, document) throws(EvalError) in
    do throws(TemplateError) {
      let input = document?.root.json ?? .null
      let output = try GoTemplate(parsing: text).execute(["Input": input], in: .machine)
      return EvalAnswer(value: output, type: "string")
    } catch { throw EvalError("\(error)") }
  }

  static let lua = EvalLanguage(
    name: "lua",
    usage: "lua, of filters and transforms, with the document as event"
  ) { (text, document) throws(EvalError) in
    do throws(LuaError) {
      let now = Int(wallClockNanoseconds() / 1_000_000_000)
      let value = try LuaScript(text).value(document?.root.json ?? [:], now: now)
      return answer(value)
    } catch { throw EvalError("\(error)") }
  }

  static let jq = EvalLanguage(
    name: "jq",
    usage: "jq, of transforms, over the document; the first output counts"
  ) { (text, document) throws(EvalError) in
    // A worker is this program, started as one.
    let workers = JQWorkers(program: "/proc/self/exe", count: 1)
    defer { workers.close() }
    let value: JSON?
    do throws(JQError) {
      value = try workers.first(JQProgram(text), document?.root.json ?? .null)
    } catch { throw EvalError("\(error)") }
    guard let value else { throw EvalError("the program gives no output") }
    return answer(value)
  }

  private static func answer(_ value: JSON) -> EvalAnswer {
    let type =
      switch value {
      case .null: "null"
      case .bool: "boolean"
      case .number: "number"
      case .string: "string"
      case .array: "array"
      case .object: "object"
      }
    return EvalAnswer(value: value.text, type: type)
  }
}
