/// A value found in a text, by its exact bytes. Where the text was not checked the bytes may be no
/// JSON; every answer is defined for them too.
package struct JSONValue: Sendable {
  package enum Kind: Sendable, Equatable { case null, bool, number, string, array, object }

  /// The exact bytes; never empty.
  package let raw: ArraySlice<UInt8>

  init(raw: ArraySlice<UInt8>) { self.raw = raw }

  /// A string, quoted.
  package init(string: String) {
    var bytes: [UInt8] = []
    JSON.appendString(string, to: &bytes)
    raw = bytes[...]
  }

  package var kind: Kind {
    switch raw.first {
    case 0x7b: .object
    case 0x5b: .array
    case 0x22: .string
    case 0x74, 0x66: .bool
    case 0x6e: raw.valueStart(raw.startIndex) == .literal ? .null : .number
    default: .number
    }
  }

  /// The string form (spec section 4.5): strings without quotes and escapes, null empty, integers
  /// as written, other numbers in plain decimals, arrays and objects as written.
  package var string: String {
    switch kind {
    case .string: String(decoding: content, as: UTF8.self)
    case .null: ""
    case .bool: isTrue ? "true" : "false"
    case .number: numberText
    case .array, .object: String(decoding: raw, as: UTF8.self)
    }
  }

  /// `string`, without a copy where the bytes stand for themselves.
  package var stringBytes: ArraySlice<UInt8> {
    switch kind {
    case .string: content
    case .array, .object: raw
    case .null, .bool, .number: Array(string.utf8)[...]
    }
  }

  /// The number it stands for (spec section 4.5): true is 1, a string what it spells, else 0.
  package var double: Double {
    switch kind {
    case .number: raw.shortDecimal ?? GoFloat(raw).value
    case .string: GoFloat(content).value
    case .bool: isTrue ? 1 : 0
    case .null, .array, .object: 0
    }
  }

  /// Its truth (spec section 4.5): true, a number other than 0, a string that spells true.
  package var bool: Bool {
    switch kind {
    case .bool: isTrue
    case .number: double != 0
    case .string: spelledBool == true
    case .null, .array, .object: false
    }
  }

  /// Whether its bytes have a `\u` in them.
  package var hasUnicodeEscapes: Bool {
    var last: UInt8 = 0
    for byte in raw {
      if last == 0x5c, byte == 0x75 { return true }
      last = byte
    }
    return false
  }

  package var isTrue: Bool { raw.first == 0x74 }

  /// The value as a tree; nil for bytes that are no JSON.
  package var json: JSON? { try? JSON(parsing: Array(raw)) }

  /// What a string spells, as Go's ParseBool reads it in lower case; nil for any other text.
  var spelledBool: Bool? {
    let text = content
    guard text.count <= 5 else { return nil }
    switch String(decoding: text, as: UTF8.self).lowercased() {
    case "1", "t", "true": return true
    case "0", "f", "false": return false
    default: return nil
    }
  }

  /// A string's bytes without quotes and escapes.
  var content: ArraySlice<UInt8> {
    let start = raw.startIndex + 1
    let end = raw.stringEnd(start).map { $0 - 1 } ?? raw.endIndex
    let inner = raw[start..<end]
    return inner.contains(0x5c) ? looselyUnescaped(inner)[...] : inner
  }

  private var numberText: String {
    if raw.dropFirst(raw.first == 0x2d ? 1 : 0).allSatisfy({ (0x30...0x39).contains($0) }) {
      return String(decoding: raw, as: UTF8.self)
    }
    let number = GoFloat(raw).value
    if number.isNaN { return "NaN" }
    if number.isInfinite { return number < 0 ? "-Inf" : "+Inf" }
    return plainDecimal(number)
  }
}

/// Two are one value where their bytes are the same.
extension JSONValue: Hashable {
  package func hash(into hasher: inout Hasher) {
    // The bytes at once: a slice hashes them one after the other.
    unsafe raw.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
  }
}
