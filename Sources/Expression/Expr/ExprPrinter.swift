/// Values as text.
package enum ExprPrinter {
  /// `%v`.
  package static func text(_ value: ExprValue) -> String {
    var out: [UInt8] = []
    append(value, &out)
    return String(decoding: out, as: UTF8.self)
  }

  /// The value as JSON on lines; nil for what JSON does not have.
  package static func json(_ value: ExprValue) -> String? {
    do throws(ExprFailure) {
      return String(decoding: try GoJSON.encode(value, indent: 2), as: UTF8.self)
    } catch { return nil }
  }

  static func append(_ value: ExprValue, _ out: inout [UInt8]) {
    switch value {
    case .null: out += "<nil>".utf8
    case .bool(let value): out += (value ? "true" : "false").utf8
    case .int(let value): out += String(value).utf8
    case .byte(let value): out += String(value).utf8
    case .float(let value): out += GoNumber.text(value).utf8
    case .string(let text): out += text.bytes
    case .json: append(value.opened, &out)
    case .array(let array):
      out.append(0x5b)
      for (place, item) in array.items.enumerated() {
        if place > 0 { out.append(0x20) }
        append(item, &out)
      }
      out.append(0x5d)
    case .map(let map):
      out += "map[".utf8
      for (place, entry) in map.sorted.enumerated() {
        if place > 0 { out.append(0x20) }
        append(entry.key.value, &out)
        out.append(0x3a)
        append(entry.value, &out)
      }
      out.append(0x5d)
    case .time(let time): out += time.text.utf8
    case .duration(let duration): out += GoDuration.text(duration).utf8
    case .zone(let zone): out += zone.name.utf8
    case .month(let month): out += name(GoLayout.months, month - 1, "Month").utf8
    case .weekday(let day): out += name(GoLayout.weekdays, day, "Weekday").utf8
    case .function: out += "func".utf8
    }
  }

  static func name(_ names: [String], _ place: Int, _ type: String) -> String {
    names.indices.contains(place) ? names[place] : "%!\(type)(\(place))"
  }

  /// The answer of `type()`.
  package static func type(_ value: ExprValue) -> String {
    switch value {
    case .null: "nil"
    case .bool: "bool"
    case .int: "int"
    case .byte: "uint"
    case .float: "float"
    case .string: "string"
    case .array: "array"
    case .map: "map"
    case .json(let json): json.isObject ? "map" : "array"
    case .time: "time.Time"
    case .duration: "time.Duration"
    case .zone: "time.Location"
    case .month: "time.Month"
    case .weekday: "time.Weekday"
    case .function: "func"
    }
  }
}
