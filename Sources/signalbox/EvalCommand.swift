import ArgumentParser
import Expression
import Glibc
import JSON
import Posix
import Server

/// `signalbox eval`: one expression over one document.
struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Evaluate an expression over a JSON document.",
    discussion: "Languages: " + EvalLanguage.all.map(\.usage).joined(separator: "; ") + "."
  )

  @Argument(help: "The language.")
  var language: String

  @Argument(help: "The expression.")
  var text: String

  @Option(help: "The file of the document; - or nothing is standard input.")
  var data: String?

  func run() throws {
    guard let language = EvalLanguage.all.first(where: { $0.name == language }) else {
      let names = EvalLanguage.all.map(\.name).joined(separator: ", ")
      throw ValidationError("found '\(self.language)', expected one of \(names)")
    }
    do throws(EvalError) {
      let answer = try language.evaluate(text, try document())
      print(answer.value)
      print("type: \(answer.type)")
    } catch {
      let line = Array((error.message + "\n").utf8)
      _ = unsafe Glibc.write(2, line, line.count)
      throw ExitCode(1)
    }
  }

  /// Standard input counts only where it is no terminal: nobody should have to end it by hand.
  private func document() throws(EvalError) -> JSONDocument? {
    if data == nil, isatty(0) == 1 { return nil }
    let path = data == nil || data == "-" ? "/dev/stdin" : data ?? ""
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Files.read(path, limit: 64 << 20) } catch {
      throw EvalError("\(error)")
    }
    if data == nil, bytes.isEmpty { return nil }
    do throws(JSONError) { return try JSONDocument(bytes) } catch {
      throw EvalError("\(path) is not JSON: \(error)")
    }
  }
}

/// Why there is no value; ready for people, with the place and a caret where there is one.
struct EvalError: Error {
  let message: String

  init(_ message: String) { self.message = message }
}

/// A value for people.
struct EvalAnswer {
  /// JSON where the value is JSON.
  let value: String
  let type: String
}

/// A language of `signalbox eval`.
struct EvalLanguage: Sendable {
  let name: String
  let usage: String
  let evaluate: @Sendable (String, JSONDocument?) throws(EvalError) -> EvalAnswer

  /// Every language, one entry each.
  static let all = [expr, govaluate, condition, gjson, template, lua, jq]

  private static let expr = EvalLanguage(
    name: "expr",
    usage: "expr, the filters of event sources, over the members of the document"
  ) { (text, document) throws(EvalError) in
    do throws(ExprError) {
      let value = try EventSourceFilter.value(of: text, document, in: .machine)
      return EvalAnswer(value: shown(value), type: ExprPrinter.type(value))
    } catch { throw EvalError("\(error)") }
  }

  private static let govaluate = EvalLanguage(
    name: "govaluate",
    usage: "govaluate, the filters.exprs of sensors, over the members of the document"
  ) { (text, document) throws(EvalError) in
    let root = document.map { ExprValue($0).opened } ?? .null
    do throws(ExprError) {
      let value = try GovaluateProgram(text).evaluate { name in
        guard case .map(let map) = root else { return nil }
        return map.values[.string(name)]
      }
      return EvalAnswer(value: shown(value), type: ExprPrinter.type(value))
    } catch { throw EvalError("\(error)") }
  }

  private static let condition = EvalLanguage(
    name: "condition",
    usage: "condition, of triggers, over members that are true or false"
  ) { (text, document) throws(EvalError) in
    var members: [(name: String, holds: Bool)] = []
    if case .map(let map)? = document.map({ ExprValue($0).opened }) {
      members = map.sorted.map { key, value in
        (ExprPrinter.text(key.value), ExprPrinter.text(value) == "true")
      }
    }
    do throws(ConditionError) {
      let condition = try Condition(text, names: members.map(\.name))
      let holds = condition.evaluate { members[$0].holds }
      return EvalAnswer(value: "\(holds)", type: "bool")
    } catch { throw EvalError("\(error)") }
  }

  private static let gjson = EvalLanguage(
    name: "gjson",
    usage: "gjson, the paths of filters and parameters, into the document"
  ) { (text, document) throws(EvalError) in
    guard let document else { throw EvalError("a path needs a document: give --data") }
    let path: JSONPath
    do throws(JSONPathError) { path = try JSONPath(text) } catch { throw EvalError("\(error)") }
    guard let value = document.value(at: path) else { throw EvalError("nothing is there") }
    return EvalAnswer(value: String(decoding: value.raw, as: UTF8.self), type: "\(value.kind)")
  }

  private static func shown(_ value: ExprValue) -> String {
    ExprPrinter.json(value) ?? ExprPrinter.text(value)
  }
}
