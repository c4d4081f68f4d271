import Expression
import Foundation
import JSON
import Testing

/// The world of the tests: a clock that stands, the machine's zones, dice that roll.
let templateWorld = TemplateWorld(
  now: { GoTime(seconds: 1_750_000_000, nanoseconds: 0, zone: .utc) },
  zoneFile: { name in
    (try? Data(contentsOf: URL(fileURLWithPath: "/usr/share/zoneinfo/" + name))).map { [UInt8]($0) }
  },
  random: { UInt64.random(in: 0 ... .max) }
)

@Suite struct TemplateVectorTests {
  @Test("every template answers what text/template and sprig answer, but for the named list")
  func vectors() throws {
    guard let cases = try vectorCases("gotemplate") else { return }
    var ran = 0
    var differing = 0
    for item in cases {
      guard let text = item.string("template"), let data = item["data"] else { continue }
      let id = item.string("id") ?? ""
      let value = GoValue(data, integers: item["num"] == "int")
      ran += 1
      do throws(TemplateError) {
        let template = try GoTemplate(parsing: text)
        guard item.string("phase") != "parse" else {
          Issue.record("\(id): \(text) parses")
          continue
        }
        let output = try template.execute(value, in: templateWorld)
        if let expected = item.string("expect") {
          #expect(output == expected, "\(id): \(text)")
        } else {
          Issue.record("\(id): \(text) gives \(output)")
        }
      } catch {
        if let template = try? GoTemplate(parsing: text), item["expect"] != nil,
          template.differingFunctions.contains(where: { $0 == "derivePassword" })
        {
          differing += 1
          continue
        }
        #expect(item["expect_error"] == true, "\(id): \(text): \(error)")
        #expect(error.phase.rawValue.hasPrefix(item.string("phase") ?? ""), "\(id): \(error)")
      }
    }
    #expect(ran > 900)
    #expect(differing <= 1)
    print("vectors: gotemplate \(ran) ran, 0 not yet supported (\(differing) named difference)")
  }
}
