/// How a worker and the process that uses it talk: a request is two lengths of 4 bytes, then the
/// program and the data; an answer is one byte, a length of 4 bytes, and the text. Lengths are
/// little-endian.
enum JQFrame {
  enum Status: UInt8 {
    case value = 0
    case nothing
    case error
    case badInput
    case syntax
  }

  static let requestHead = 8
  static let answerHead = 5

  static func request(_ program: String, _ data: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = []
    append(program.utf8.count, to: &frame)
    append(data.count, to: &frame)
    return frame + program.utf8 + data
  }

  static func answer(_ status: Status, _ text: [UInt8]) -> [UInt8] {
    var frame = [status.rawValue]
    append(text.count, to: &frame)
    return frame + text
  }

  static func length(_ bytes: ArraySlice<UInt8>) -> Int {
    bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private static func append(_ length: Int, to frame: inout [UInt8]) {
    let word = UInt32(length)
    for shift in [0, 8, 16, 24] as [UInt32] { frame.append(UInt8(word >> shift & 0xff)) }
  }
}
