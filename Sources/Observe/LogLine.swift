import Glibc
import Logging

/// One entry of the program's log and its two written forms.
struct LogLine {
  /// Nanoseconds since 1970.
  let time: Int64
  let level: Logger.Level
  let label: String
  let message: String
  /// In the order they are written.
  let fields: [(key: String, value: Logger.MetadataValue)]

  /// `2026-01-02T03:04:05.678Z info message key=value`.
  func text(isColoured: Bool) -> String {
    var line = "\(timestamp(time)) \(isColoured ? coloured(level) : level.rawValue) "
    line += visible(message)
    for field in fields {
      line += " \(plainOrQuoted(field.key))=\(plainOrQuoted("\(field.value)"))"
    }
    return line
  }

  /// One object. A field with the name of one of ours gets an underscore behind it.
  var json: String {
    var line = "{\"time\":\"\(timestamp(time))\",\"level\":\"\(level.rawValue)\","
    line += "\"logger\":\(quoted(label)),\"message\":\(quoted(message))"
    for field in fields {
      let isTaken = ["time", "level", "logger", "message"].contains(field.key)
      line += ",\(quoted(isTaken ? field.key + "_" : field.key)):\(jsonValue(field.value))"
    }
    return line + "}"
  }
}

private func jsonValue(_ value: Logger.MetadataValue) -> String {
  switch value {
  case .string(let text): quoted(text)
  case .stringConvertible(let value): quoted("\(value)")
  case .array(let values): "[\(values.map(jsonValue).joined(separator: ","))]"
  case .dictionary(let entries):
    "{"
      + entries.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(jsonValue($0.value))" }
      .joined(separator: ",") + "}"
  }
}

private func plainOrQuoted(_ text: String) -> String {
  let isPlain = text.unicodeScalars.allSatisfy { scalar in
    scalar.value > 0x20 && scalar != "\"" && scalar != "=" && scalar != "\\" && !isControl(scalar)
      && !scalar.properties.isWhitespace
  }
  return isPlain && !text.isEmpty ? text : quoted(text)
}

/// A JSON string (RFC 8259), which is also the quoted form in text lines.
private func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    default: append(scalar, to: &result)
    }
  }
  return result + "\""
}

/// The text with its control characters escaped and nothing else changed.
private func visible(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars { append(scalar, to: &result) }
  return result
}

private func append(_ scalar: Unicode.Scalar, to text: inout String) {
  switch scalar {
  case "\n": text += "\\n"
  case "\r": text += "\\r"
  case "\t": text += "\\t"
  case _ where isControl(scalar):
    let digits = String(scalar.value, radix: 16)
    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  default: text.unicodeScalars.append(scalar)
  }
}

/// C0, DEL and C1, the line separators, and what turns the direction of writing round: all of
/// these can make a terminal show something that is not there.
private func isControl(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
  default: false
  }
}

private func coloured(_ level: Logger.Level) -> String {
  let colour =
    switch level {
    case .trace, .debug: "2"
    case .info, .notice: "32"
    case .warning: "33"
    case .error, .critical: "31"
    }
  return "\u{1B}[\(colour)m\(level.rawValue)\u{1B}[0m"
}

/// RFC 3339 in UTC with milliseconds.
private func timestamp(_ nanoseconds: Int64) -> String {
  var (second, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
  if fraction < 0 {
    second -= 1
    fraction += 1_000_000_000
  }
  var time = time_t(second)
  var parts = unsafe tm()
  unsafe gmtime_r(&time, &parts)
  let year = unsafe padded(parts.tm_year + 1900, 4)
  let month = unsafe padded(parts.tm_mon + 1)
  let day = unsafe padded(parts.tm_mday)
  let hour = unsafe padded(parts.tm_hour)
  let minute = unsafe padded(parts.tm_min)
  let clock = unsafe "\(hour):\(minute):\(padded(parts.tm_sec))"
  return "\(year)-\(month)-\(day)T\(clock).\(padded(Int32(fraction / 1_000_000), 3))Z"
}

private func padded(_ number: Int32, _ width: Int = 2) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
