import Expression
import JSON

private let world = TemplateWorld(
  now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
  zoneFile: { _ in nil },
  random: { 0 }
)
private let data = Array(
  "{\"n\":3,\"s\":\"text\",\"l\":[1,2.5,\"x\",null],\"m\":{\"a\":{\"b\":true}}}".utf8
)

/// An expression as filter of an event source, and as govaluate has it.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  guard let text = String(validating: bytes, as: UTF8.self) else { return 0 }
  for mode in CompatibilityMode.allCases {
    guard let filter = try? EventSourceFilter(text, mode: mode, world: world) else { continue }
    _ = filter.evaluate(data)
  }
  _ = try? GovaluateProgram(text).evaluate { $0 == "n" ? .float(3) : nil }
  return 0
}
