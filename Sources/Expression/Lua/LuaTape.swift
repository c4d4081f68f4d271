import JSON

/// Values on their way into a script and out of it (the form is told in CLua.h).
enum LuaTape {
  enum Tag: UInt8 {
    case null = 0x6e
    case `true` = 0x74
    case `false` = 0x66
    case number = 0x64
    case text = 0x73
    case list = 0x5b
    case object = 0x7b
  }

  /// The data of an event, which must be an object; null is an empty one. Members that are null
  /// are left out, and so are elements of lists that are null or lists.
  static func event(_ data: JSON) throws(LuaError) -> [UInt8] {
    var tape: [UInt8] = []
    switch data {
    case .object(let members): try append(members, to: &tape)
    case .null: try append([], to: &tape)
    default: throw LuaError(.result, "the data must be a JSON object")
    }
    return tape
  }

  private static func append(
    _ members: [JSON.Member],
    to tape: inout [UInt8]
  ) throws(LuaError) {
    var last: [String: Int] = [:]
    for (place, member) in members.enumerated() { last[member.key] = place }
    let kept = members.enumerated().filter { place, member in
      // The last of one name counts, and null is nothing.
      if case .null = member.value { return false }
      return last[member.key] == place
    }.map(\.element)
    tape.append(Tag.object.rawValue)
    append(UInt64(kept.count), to: &tape)
    for member in kept {
      append(member.key, to: &tape)
      try append(member.value, to: &tape)
    }
  }

  private static func append(_ value: JSON, to tape: inout [UInt8]) throws(LuaError) {
    switch value {
    case .null: tape.append(Tag.null.rawValue)
    case .bool(let truth): tape.append((truth ? Tag.true : Tag.false).rawValue)
    case .number(let text):
      guard let number = Double(text), number.isFinite else {
        throw LuaError(.result, "the number \(text) is out of range")
      }
      tape.append(Tag.number.rawValue)
      append(number.bitPattern, to: &tape)
    case .string(let text):
      tape.append(Tag.text.rawValue)
      append(text, to: &tape)
    case .array(let items):
      let kept = items.filter { item in
        switch item {
        case .null, .array: false
        default: true
        }
      }
      tape.append(Tag.list.rawValue)
      append(UInt64(kept.count), to: &tape)
      for item in kept { try append(item, to: &tape) }
    case .object(let members): try append(members, to: &tape)
    }
  }

  private static func append(_ text: String, to tape: inout [UInt8]) {
    append(UInt64(text.utf8.count), to: &tape)
    tape += text.utf8
  }

  private static func append(_ word: UInt64, to tape: inout [UInt8]) {
    unsafe withUnsafeBytes(of: word) { bytes in unsafe tape.append(contentsOf: bytes) }
  }

  /// The value on a tape that a script made; members are sorted by key.
  static func json(_ tape: [UInt8]) throws(LuaError) -> JSON {
    var at = 0
    return try value(tape, &at)
  }

  /// Numbers and texts, one after another to the end.
  static func arguments(_ tape: [UInt8], _ at: inout Int) -> [GoValue] {
    var values: [GoValue] = []
    while at < tape.count {
      at += 1
      if tape[at - 1] == Tag.number.rawValue {
        values.append(.float(Double(bitPattern: word(tape, &at))))
      } else {
        values.append(.string(text(tape, &at)))
      }
    }
    return values
  }

  private static func word(_ tape: [UInt8], _ at: inout Int) -> UInt64 {
    precondition(at + 8 <= tape.count, "the tape is whole")
    let bytes = tape[at..<at + 8]
    at += 8
    var word: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &word) { unsafe $0.copyBytes(from: bytes) }
    return word
  }

  private static func text(_ tape: [UInt8], _ at: inout Int) -> ByteString {
    let count = Int(word(tape, &at))
    at += count
    return ByteString(tape[at - count..<at])
  }

  private static func value(_ tape: [UInt8], _ at: inout Int) throws(LuaError) -> JSON {
    guard at < tape.count, let tag = Tag(rawValue: tape[at]) else {
      preconditionFailure("the tape is whole")
    }
    at += 1
    switch tag {
    case .null: return .null
    case .true: return true
    case .false: return false
    case .number:
      let number = Double(bitPattern: word(tape, &at))
      guard let text = GoNumber.json(number) else {
        throw LuaError(.result, "JSON has no \(GoNumber.text(number))")
      }
      return .number(text)
    case .text: return .string(text(tape, &at).repaired)
    case .list:
      var items: [JSON] = []
      for _ in 0..<word(tape, &at) { items.append(try value(tape, &at)) }
      return .array(items)
    case .object:
      var members: [(key: ByteString, value: JSON)] = []
      for _ in 0..<word(tape, &at) {
        let key = text(tape, &at)
        members.append((key, try value(tape, &at)))
      }
      members.sort { $0.key < $1.key }
      return .object(members.map { JSON.Member(key: $0.key.repaired, value: $0.value) })
    }
  }
}
