import JSON

/// A path, a zero, and the text it is looked up, set and deleted in.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.count == 2, let text = String(validating: parts[0], as: UTF8.self) else { return 0 }
  let json = Array(parts[1])
  if let path = try? JSONPath(text) {
    let loose = path.value(in: json[...])
    _ = loose?.string
    _ = loose?.double
    if let document = try? JSONDocument(json) {
      let checked = document.value(at: path)
      precondition(checked?.raw == loose?.raw, "the readers differ")
    }
  }
  if let place = try? JSONDestination(text) {
    _ = try? place.setting(.text("v"), in: json)
    _ = try? place.deleting(in: json)
  }
  return 0
}
