import Glibc

/// The bytes of a response (RFC 9112 section 4), head and body in one piece. `request` is nil
/// where none could be read.
func responseBytes(
  _ response: Response,
  to request: H1Parser.Head?,
  keepsAlive: Bool,
  date: String
) -> [UInt8] {
  var out: [UInt8] = []
  out.reserveCapacity(response.body.count + 256)
  out += "HTTP/1.1 ".utf8
  appendDecimal(response.status, to: &out)
  out.append(0x20)
  out += reason(response.status).utf8
  out += "\r\nDate: ".utf8
  out += date.utf8
  out += "\r\n".utf8
  for field in response.headers.fields {
    out += field.name.utf8
    out += ": ".utf8
    // A line break in a value would begin a field, or a response, of somebody else's making.
    let start = out.count
    out += field.value.utf8
    for index in start..<out.count where out[index] < 0x20 || out[index] == 0x7f {
      out[index] = 0x20
    }
    out += "\r\n".utf8
  }
  let hasBody = response.hasBody
  if hasBody {
    if response.stream == nil {
      out += "Content-Length: ".utf8
      appendDecimal(response.body.count, to: &out)
      out += "\r\n".utf8
    } else if request?.isHTTP10 == false {
      out += "Transfer-Encoding: chunked\r\n".utf8
    }
  }
  if !keepsAlive {
    out += "Connection: close\r\n".utf8
  } else if request?.isHTTP10 == true {
    out += "Connection: keep-alive\r\n".utf8
  }
  out += "\r\n".utf8
  if hasBody && response.stream == nil && request?.request.method != "HEAD" {
    out += response.body
  }
  return out
}

private func appendDecimal(_ number: Int, to out: inout [UInt8]) {
  if number >= 10 { appendDecimal(number / 10, to: &out) }
  out.append(0x30 + UInt8(number % 10))
}

extension Response {
  /// Whether the status lets a body follow (RFC 9110 section 6.4.1).
  var hasBody: Bool { status >= 200 && status != 204 && status != 304 }
}

/// The time in the form of RFC 9110 section 5.6.7.
func httpDate(_ seconds: Int) -> String {
  var time = time_t(seconds)
  var parts = unsafe tm()
  unsafe gmtime_r(&time, &parts)
  let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
  func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
  let day = unsafe "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)])"
  let clock = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  return unsafe "\(day) \(parts.tm_year + 1900) \(clock) GMT"
}

private func reason(_ status: Int) -> String {
  switch status {
  case 200: "OK"
  case 202: "Accepted"
  case 204: "No Content"
  case 400: "Bad Request"
  case 401: "Unauthorized"
  case 403: "Forbidden"
  case 404: "Not Found"
  case 405: "Method Not Allowed"
  case 408: "Request Timeout"
  case 413: "Content Too Large"
  case 415: "Unsupported Media Type"
  case 417: "Expectation Failed"
  case 421: "Misdirected Request"
  case 429: "Too Many Requests"
  case 431: "Request Header Fields Too Large"
  case 500: "Internal Server Error"
  case 501: "Not Implemented"
  case 503: "Service Unavailable"
  case 505: "HTTP Version Not Supported"
  default: "Status"
  }
}
