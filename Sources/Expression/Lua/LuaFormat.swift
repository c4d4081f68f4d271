import CLua
import Glibc
import JSON

/// `string.format` of scripts, which in the original is that of its host language: the bytes a
/// tape of the format and its values comes to; nil for more than `limit`.
private func formatted(_ tape: [UInt8], limit: Int) -> [UInt8]? {
  var at = 0
  var values = LuaTape.arguments(tape, &at)
  guard !values.isEmpty, case .string(let format) = values.removeFirst() else { return nil }
  // A value too many is no error: only as many are given as the format has marks.
  let marks = format.bytes.count { $0 == 0x25 }
  let doubled = format.split("%%", limit: -1).count - 1
  let given = Array(values.prefix(max(0, marks - doubled)))
  do throws(TemplateFailure) {
    return try GoFormat.text(format, given, limit: limit, adapt: adapted)
  } catch { return nil }
}

/// Numbers of scripts are whole ones or not as the verb wants them.
private func adapted(_ value: GoValue, _ verb: Unicode.Scalar) -> (GoValue, Unicode.Scalar) {
  switch (value, verb) {
  case (.float(let number), "q"), (.float(let number), "s"):
    return (.string(ByteString(text(number))), verb)
  case (.float(let number), "i"): return (.int64(GoNumber.truncated(number)), "d")
  case (.float, "e"), (.float, "E"), (.float, "f"), (.float, "F"), (.float, "g"), (.float, "G"):
    return (value, verb)
  case (.float(let number), "b"), (.float(let number), "c"), (.float(let number), "d"),
    (.float(let number), "o"), (.float(let number), "x"), (.float(let number), "X"),
    (.float(let number), "U"):
    return (.int64(GoNumber.truncated(number)), verb)
  case (.float(let number), _):
    let whole = GoNumber.truncated(number)
    return (number == Double(whole) ? .int64(whole) : value, verb)
  case (.string(let text), "d"), (.string(let text), "i"):
    // A text that spells a number is printed as it is, any other as 0.
    return isNumber(text) ? (value, "s") : (.int64(0), "d")
  default: return (value, verb)
  }
}

/// A number as `tostring` prints it.
private func text(_ number: Double) -> String {
  let whole = GoNumber.truncated(number)
  return number == Double(whole) ? String(whole) : GoNumber.text(number)
}

private func isNumber(_ text: ByteString) -> Bool {
  let text = text.trimmed { " \t\n".unicodeScalars.contains($0) }
  if case .signed? = TemplateNumber.integer(text.description) { return true }
  return GoFloat(text.bytes).fault == nil
}

/// `formatted`, as the other side calls it.
let luaFormat: clua_format = { (tape, count, max, outCount) in
  let bytes = unsafe Array(UnsafeBufferPointer(start: tape, count: count))
  guard let text = formatted(bytes, limit: max),
    let out = unsafe malloc(text.count + 1)?.assumingMemoryBound(to: UInt8.self)
  else { return nil }
  for (place, byte) in text.enumerated() { unsafe out[place] = byte }
  unsafe outCount.pointee = text.count
  return unsafe out
}
