import Expression
import JSON

private let world = TemplateWorld(
  now: { GoTime(seconds: 0, nanoseconds: 0, zone: .utc) },
  zoneFile: { _ in nil },
  random: { 0 }
)
private let data: JSON = [
  "Input": ["n": 3, "s": "text", "l": [1, "x", nil], "m": ["a": ["b": true]]]
]
private let limits = TemplateLimits(steps: 200_000, output: 1 << 20, memory: 1 << 24, depth: 100)

/// A template over an event.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  guard let text = String(validating: bytes, as: UTF8.self),
    let template = try? GoTemplate(parsing: text)
  else { return 0 }
  _ = try? template.execute(data, limits: limits, in: world)
  return 0
}
