import Expression

/// A trigger's condition in both modes; both must hold their promise about ||.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  guard let text = String(validating: bytes, as: UTF8.self) else { return 0 }
  let names = ["a", "b", "a-b", "a_b", "in", "ü"]
  for mode in CompatibilityMode.allCases {
    guard let condition = try? Condition(text, names: names, mode: mode) else { continue }
    for holding in 0..<1 << names.count {
      _ = condition.evaluate { holding >> $0 & 1 == 1 }
    }
  }
  return 0
}
