import JSON

/// Reads a text as JSON in both ways, which must agree, and writes it again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = unsafe Array(UnsafeBufferPointer(start: start, count: count))
  let tree = try? JSON(parsing: bytes)
  let document = try? JSONDocument(bytes)
  precondition((tree == nil) == (document == nil), "the readers differ")
  guard let tree else { return 0 }
  guard let again = try? JSON(parsing: tree.encoded()) else { preconditionFailure("unreadable") }
  precondition(again == tree, "a value changes when it is written")
  return 0
}
