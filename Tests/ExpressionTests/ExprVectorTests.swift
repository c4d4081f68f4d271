import Expression
import Foundation
import JSON
import Testing

/// A world with a fixed clock and the time zone database of the machine.
let testWorld = TemplateWorld(
  now: { GoTime(seconds: 1_700_000_000, nanoseconds: 0, zone: .utc) },
  zoneFile: {
    FileManager.default.contents(atPath: "/usr/share/zoneinfo/" + $0).map { [UInt8]($0) }
  },
  random: { 4 }
)

@Suite struct ExprVectorTests {
  @Test("expressions answer what the original answers, but for the differences we name")
  func vectors() throws {
    guard let cases = try vectorCases("expr") else { return }
    var passed = 0
    var differing = 0
    var failures: [String] = []
    for item in cases {
      let id = item.string("id") ?? ""
      let source = item.string("expr") ?? ""
      let environment = ExprValue(item["env"] ?? [:], integers: item.string("num") != "float")
      guard case .map(let names) = environment else { continue }
      let problem = difference(answer(source, names), item)
      if let problem {
        if exprDifferences[id] != nil {
          differing += 1
        } else {
          failures.append("\(id) \(source): \(problem)")
        }
      } else {
        #expect(exprDifferences[id] == nil, "\(id) is listed as different, but is not")
        passed += 1
      }
    }
    for failure in failures { Issue.record("\(failure)") }
    print("vectors: expr \(passed) ran, \(differing) differ on purpose")
    #expect(differing * 50 <= cases.count)
  }

  private func answer(_ source: String, _ names: ExprMap) -> Result<ExprValue, ExprError> {
    do throws(ExprError) {
      return .success(try ExprProgram(source).evaluate(names, in: testWorld))
    } catch { return .failure(error) }
  }

  private func difference(_ answer: Result<ExprValue, ExprError>, _ item: JSON) -> String? {
    switch answer {
    case .failure(let error):
      if item["expect_error"] != true { return "failed: \(error)" }
      let phase = error.phase.rawValue
      return phase == item.string("phase") ? nil : "failed in phase \(phase): \(error)"
    case .success(let value):
      let shown = described(value)
      if item["expect_error"] == true { return "no error, but \(shown.json.text)" }
      guard JSON.isSame(shown.json, item["expect"] ?? .null) else {
        return "found \(shown.json.text), expected \(item["expect"]?.text ?? "")"
      }
      return shown.type == item.string("type")
        ? nil : "found type \(shown.type), expected \(item.string("type") ?? "")"
    }
  }
}

/// Cases that differ on purpose, by id, each with its reason.
let exprDifferences: [String: String] = [:]

/// A value as the vectors write it, and its type.
func described(_ value: ExprValue) -> (json: JSON, type: String) {
  switch value {
  case .null: return (.null, "nil")
  case .bool(let value): return (.bool(value), "bool")
  case .int(let value), .month(let value), .weekday(let value):
    return (.number(String(value)), "int")
  case .byte(let value): return (.number(String(value)), "int")
  case .float(let value):
    if value.isNaN { return ("NaN", "float") }
    if value.isInfinite { return (value < 0 ? "-Inf" : "+Inf", "float") }
    return (.number("\(value)"), "float")
  case .string(let text): return (.string(text.description), "string")
  case .json: return described(value.opened)
  case .array(let array):
    let items = array.items.map(described)
    let types = items.map(\.type)
    let alike = Set(types).count == 1
    let type = alike ? "[\(types[0])...]" : "[\(types.joined(separator: ","))]"
    return (.array(items.map(\.json)), type)
  case .map(let map):
    var members: [JSON.Member] = []
    var types: [String] = []
    for (key, value) in map.sorted {
      let shown = described(value)
      let name = ExprPrinter.text(key.value)
      members.append(.init(key: name, value: shown.json))
      let kind = described(key.value).type
      types.append("\(kind == "string" ? name : "\(kind)(\(name))"):\(shown.type)")
    }
    return (.object(members), "{\(types.joined(separator: ","))}")
  case .time(let time):
    return (.string(GoLayout("2006-01-02T15:04:05.999999999Z07:00").format(time)), "time")
  case .duration(let duration): return (.string(GoDuration.text(duration)), "duration")
  case .zone(let zone): return (.string(zone.name), "timezone")
  case .function: return (.null, "func")
  }
}
