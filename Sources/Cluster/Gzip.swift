/// Opens what gzip made (RFC 1952 around RFC 1951). Written here, and not a library's, because it is
/// all that is needed of one: each byte that is read and written is checked, and the end is bounded.
package enum Gzip {
  package enum Failure: Error, Equatable {
    case notGzip
    /// It is cut, or is not what was compressed.
    case damaged
    case tooLarge(limit: Int)
  }

  /// - Parameter limit: of the bytes that come out.
  /// - Throws: `Failure`.
  package static func opened(_ bytes: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
    var bits = BitReader(bytes, at: try headerEnd(bytes))
    var output: [UInt8] = []
    var isLast = false
    while !isLast {
      isLast = try bits.take(1) == 1
      switch try bits.take(2) {
      case 0: try copyStored(&bits, &output, limit)
      case 1: try expand(&bits, .fixedLiterals, .fixedDistances, &output, limit)
      case 2:
        let (literals, distances) = try tables(&bits)
        try expand(&bits, literals, distances, &output, limit)
      default: throw .damaged
      }
    }
    bits.skipToByte()
    let checksum = try bits.take(16) | bits.take(16) << 16
    let length = try bits.take(16) | bits.take(16) << 16
    guard checksum == CRC32.sum(output), length == output.count & 0xffff_ffff else {
      throw .damaged
    }
    return output
  }

  /// Where the compressed bytes begin.
  private static func headerEnd(_ bytes: [UInt8]) throws(Failure) -> Int {
    guard bytes.count >= 18, bytes[0] == 0x1f, bytes[1] == 0x8b, bytes[2] == 8 else {
      throw .notGzip
    }
    let flags = bytes[3]
    var place = 10
    if flags & 0x04 != 0 { place += 2 + Int(bytes[10]) + Int(bytes[11]) << 8 }
    // Its name and a comment, each up to a zero.
    for flag: UInt8 in [0x08, 0x10] where flags & flag != 0 {
      guard place < bytes.count, let end = bytes[place...].firstIndex(of: 0) else {
        throw .damaged
      }
      place = end + 1
    }
    if flags & 0x02 != 0 { place += 2 }
    return place
  }

  private static func copyStored(
    _ bits: inout BitReader,
    _ output: inout [UInt8],
    _ limit: Int
  ) throws(Failure) {
    bits.skipToByte()
    let count = try bits.take(16)
    guard try bits.take(16) == ~count & 0xffff else { throw .damaged }
    guard output.count + count <= limit else { throw .tooLarge(limit: limit) }
    for _ in 0..<count { output.append(UInt8(try bits.take(8))) }
  }

  // Section 3.2.5 of RFC 1951.
  private static let lengthBases = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
  ]
  private static let lengthBits = [
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
  ]
  private static let distanceBases = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
    3073, 4097, 6145, 8193, 12289, 16385, 24577,
  ]

  private static func expand(
    _ bits: inout BitReader,
    _ literals: CodeTable,
    _ distances: CodeTable,
    _ output: inout [UInt8],
    _ limit: Int
  ) throws(Failure) {
    while true {
      let symbol = try literals.next(&bits)
      if symbol == 256 { return }
      if symbol < 256 {
        guard output.count < limit else { throw .tooLarge(limit: limit) }
        output.append(UInt8(symbol))
        continue
      }
      guard symbol - 257 < lengthBases.count else { throw .damaged }
      let length = lengthBases[symbol - 257] + (try bits.take(lengthBits[symbol - 257]))
      let code = try distances.next(&bits)
      guard code < distanceBases.count else { throw .damaged }
      let distance = distanceBases[code] + (try bits.take(max(0, code / 2 - 1)))
      guard distance <= output.count else { throw .damaged }
      guard output.count + length <= limit else { throw .tooLarge(limit: limit) }
      // Byte by byte: it may repeat what it has just written.
      for _ in 0..<length { output.append(output[output.count - distance]) }
    }
  }

  /// The order in which lengths of codes for lengths of codes come (section 3.2.7).
  private static let lengthOrder = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
  ]

  /// The codes of a block that has its own.
  private static func tables(
    _ bits: inout BitReader
  ) throws(Failure) -> (literals: CodeTable, distances: CodeTable) {
    let literals = try bits.take(5) + 257
    let distances = try bits.take(5) + 1
    let count = try bits.take(4) + 4
    var ofLengths = [UInt8](repeating: 0, count: lengthOrder.count)
    for index in 0..<count { ofLengths[lengthOrder[index]] = UInt8(try bits.take(3)) }
    let table = try CodeTable(ofLengths)
    var lengths: [UInt8] = []
    while lengths.count < literals + distances {
      let symbol = try table.next(&bits)
      switch symbol {
      case 16:
        guard let last = lengths.last else { throw .damaged }
        lengths += repeatElement(last, count: 3 + (try bits.take(2)))
      case 17: lengths += repeatElement(0, count: 3 + (try bits.take(3)))
      case 18: lengths += repeatElement(0, count: 11 + (try bits.take(7)))
      default: lengths.append(UInt8(symbol))
      }
    }
    guard lengths.count == literals + distances else { throw .damaged }
    return (
      try CodeTable(Array(lengths[..<literals])), try CodeTable(Array(lengths[literals...]))
    )
  }
}

/// Bits of bytes, the lowest first.
private struct BitReader {
  private let bytes: [UInt8]
  private var place: Int
  private var held: UInt64 = 0
  private var count = 0

  init(_ bytes: [UInt8], at place: Int) {
    self.bytes = bytes
    self.place = place
  }

  private mutating func fill(_ wanted: Int) {
    while count < wanted, place < bytes.count {
      held |= UInt64(bytes[place]) << UInt64(count)
      place += 1
      count += 8
    }
  }

  /// The next `wanted` bits as a number, at most 16.
  mutating func take(_ wanted: Int) throws(Gzip.Failure) -> Int {
    let bits = peek(wanted)
    try drop(wanted)
    return bits
  }

  /// The same without going on; behind the end there are zeros.
  mutating func peek(_ wanted: Int) -> Int {
    fill(wanted)
    return Int(held & (1 << UInt64(wanted) - 1))
  }

  mutating func drop(_ wanted: Int) throws(Gzip.Failure) {
    guard wanted <= count else { throw .damaged }
    held >>= UInt64(wanted)
    count -= wanted
  }

  mutating func skipToByte() {
    held >>= UInt64(count % 8)
    count -= count % 8
  }
}

/// Which symbol stands for which bits (section 3.2.2 of RFC 1951): every combination of as many bits
/// as the longest code has is looked up at once.
private struct CodeTable {
  /// The symbol, and in the low four bits how many bits its code has; 0: no code.
  private var entries: [UInt16]
  private let bits: Int

  static let fixedLiterals = made(
    Array(repeating: 8, count: 144) + Array(repeating: 9, count: 112)
      + Array(repeating: 7, count: 24) + Array(repeating: 8, count: 8)
  )
  static let fixedDistances = made(Array(repeating: 5, count: 30))

  private static func made(_ lengths: [UInt8]) -> CodeTable {
    do throws(Gzip.Failure) { return try CodeTable(lengths) } catch {
      preconditionFailure("the fixed codes are right")
    }
  }

  /// - Parameter lengths: of the code of each symbol, 0 for none, at most 15.
  init(_ lengths: [UInt8]) throws(Gzip.Failure) {
    let longest = Int(lengths.max() ?? 0)
    guard longest <= 15 else { throw .damaged }
    bits = longest
    entries = Array(repeating: 0, count: 1 << longest)
    var code = 0
    for length in stride(from: 1, through: longest, by: 1) {
      code <<= 1
      for symbol in lengths.indices where Int(lengths[symbol]) == length {
        // More codes of this length than there can be.
        guard code < 1 << length else { throw .damaged }
        let entry = UInt16(symbol) << 4 | UInt16(length)
        let first = Self.reversed(code, length)
        for place in stride(from: first, to: entries.count, by: 1 << length) {
          entries[place] = entry
        }
        code += 1
      }
    }
  }

  /// Codes come with their highest bit first.
  private static func reversed(_ code: Int, _ length: Int) -> Int {
    var (rest, result) = (code, 0)
    for _ in 0..<length {
      result = result << 1 | rest & 1
      rest >>= 1
    }
    return result
  }

  func next(_ reader: inout BitReader) throws(Gzip.Failure) -> Int {
    let entry = entries[reader.peek(bits)]
    guard entry & 15 != 0 else { throw .damaged }
    try reader.drop(Int(entry & 15))
    return Int(entry >> 4)
  }
}

/// The checksum of RFC 1952.
private enum CRC32 {
  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { sum, _ in sum & 1 == 1 ? 0xedb8_8320 ^ sum >> 1 : sum >> 1 }
  }

  static func sum(_ bytes: [UInt8]) -> Int {
    let table = table
    let sum = bytes.reduce(~UInt32(0)) { sum, byte in
      table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] ^ sum >> 8
    }
    return Int(~sum)
  }
}
