import Glibc

struct RequestLine {
  let method: String
  let path: String
  let query: String
  /// The host of a target in absolute form.
  let authority: String?
  let isHTTP10: Bool
  let isKnownVersion: Bool
}

/// method SP target SP version, nothing else (RFC 9112 section 3). The target is in origin form,
/// in absolute form, whose path counts, or `*` with OPTIONS.
func requestLine(_ line: ArraySlice<UInt8>) -> RequestLine? {
  guard let first = line.firstIndex(of: 0x20),
    let second = line[(first + 1)...].firstIndex(of: 0x20),
    first > line.startIndex, line[..<first].allSatisfy(isTokenByte), second > first + 1,
    line[(first + 1)..<second].allSatisfy({ (0x21...0x7e).contains($0) && $0 != 0x23 }),
    let version = version(line[(second + 1)...])
  else { return nil }
  let method = String(decoding: line[..<first], as: UTF8.self)
  var target = line[(first + 1)..<second]
  var authority: String?
  if target.elementsEqual([0x2a]) {
    guard method == "OPTIONS" else { return nil }
  } else if target.first != 0x2f {
    let text = String(decoding: target, as: UTF8.self).lowercased()
    guard text.hasPrefix("http://") || text.hasPrefix("https://") else { return nil }
    let rest = target.dropFirst(text.hasPrefix("https://") ? 8 : 7)
    let end = rest.firstIndex { $0 == 0x2f || $0 == 0x3f } ?? rest.endIndex
    let host = String(decoding: rest[..<end], as: UTF8.self)
    guard !host.isEmpty, isHost(host) else { return nil }
    authority = host
    target = rest[end...]
    if target.first != 0x2f { target = [0x2f] + target }
  }
  let mark = target.firstIndex(of: 0x3f)
  return RequestLine(
    method: method,
    path: String(decoding: target[..<(mark ?? target.endIndex)], as: UTF8.self),
    query: mark.map { String(decoding: target[($0 + 1)...], as: UTF8.self) } ?? "",
    authority: authority,
    isHTTP10: version == (1, 0),
    isKnownVersion: version.major == 1
  )
}

/// `HTTP/` digit `.` digit, in capitals.
private func version(_ text: ArraySlice<UInt8>) -> (major: UInt8, minor: UInt8)? {
  let at = text.startIndex
  guard text.count == 8, text.starts(with: "HTTP/".utf8), text[at + 6] == 0x2e,
    (0x30...0x39).contains(text[at + 5]), (0x30...0x39).contains(text[at + 7])
  else { return nil }
  return (text[at + 5] - 0x30, text[at + 7] - 0x30)
}

/// name ":" value; no white space before the colon, no folded lines, no control characters
/// (RFC 9112 section 5).
func field(_ line: ArraySlice<UInt8>) -> (name: String, value: String)? {
  guard let colon = line.firstIndex(of: 0x3a), colon > line.startIndex,
    line[..<colon].allSatisfy(isTokenByte)
  else { return nil }
  var value = line[(colon + 1)...]
  while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
  while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
  guard value.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) }) else { return nil }
  return (String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
}

/// Hexadecimal digits; an extension behind `;` is passed over and its length told (RFC 9112
/// section 7.1).
func chunkSize(_ line: ArraySlice<UInt8>) -> (size: Int, extensionBytes: Int)? {
  let digits = line.prefix { $0 != 0x3b }
  guard (1...15).contains(digits.count),
    line.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7f) })
  else { return nil }
  var size = 0
  for digit in digits {
    switch digit {
    case 0x30...0x39: size = size << 4 | Int(digit - 0x30)
    case 0x41...0x46: size = size << 4 | Int(digit - 0x37)
    case 0x61...0x66: size = size << 4 | Int(digit - 0x57)
    default: return nil
    }
  }
  return (size, line.count - digits.count)
}

/// Digits only; no sign, no list, no number that overflows.
func contentLength(_ text: String) -> Int? {
  guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
  else { return nil }
  return Int(text)
}

/// A name or an address with or without a port, or nothing (RFC 9110 section 7.2; RFC 3986
/// section 3.2.2). No user, no list.
func isHost(_ text: String) -> Bool {
  var rest = text.utf8[...]
  if rest.first == 0x5b {
    guard let end = rest.firstIndex(of: 0x5d) else { return false }
    let address = rest[..<end].dropFirst()
    guard !address.isEmpty,
      address.allSatisfy({ isHexDigit($0) || $0 == 0x3a || $0 == 0x2e })
    else { return false }
    rest = rest[rest.index(after: end)...]
  } else {
    let end = rest.firstIndex(of: 0x3a) ?? rest.endIndex
    guard rest[..<end].allSatisfy(isNameByte) else { return false }
    rest = rest[end...]
  }
  guard let colon = rest.first else { return true }
  let port = rest.dropFirst()
  return colon == 0x3a && port.count <= 5 && port.allSatisfy { (0x30...0x39).contains($0) }
}

/// What may stand in a registered name: unreserved, `%` and sub-delims but the comma, which
/// makes lists elsewhere.
private func isNameByte(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
  case 0x21, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2d, 0x2e, 0x3b, 0x3d, 0x5f, 0x7e:
    true
  default: false
  }
}

private func isHexDigit(_ byte: UInt8) -> Bool {
  (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
}

/// tchar of RFC 9110 section 5.6.2. One bit a byte: every byte of every field's name comes here.
func isTokenByte(_ byte: UInt8) -> Bool {
  let bits: UInt64 = byte < 0x40 ? 0x03ff_6cfa_0000_0000 : 0x57ff_ffff_c7ff_fffe
  return byte < 0x80 && bits >> UInt64(byte & 0x3f) & 1 == 1
}

/// Where the next LF stands in `bytes[from..<end]`.
func lineFeed(_ bytes: [UInt8], _ from: Int, _ end: Int) -> Int? {
  precondition(from <= end && end <= bytes.count)
  return unsafe bytes.withUnsafeBytes { buffer in
    guard from < end, let base = buffer.baseAddress,
      let found = unsafe memchr(base + from, 0x0a, end - from)
    else { return nil }
    return unsafe UnsafeRawPointer(found) - base
  }
}

/// The fields that say where a request ends and who it is for, found in one pass.
struct FramingFields {
  private(set) var hosts = 0
  private(set) var host: String?
  private(set) var lengths = 0
  private(set) var length: String?
  /// The elements of all `Transfer-Encoding` fields; nil where there is none.
  private(set) var codings: [String]?
  /// The elements of all `Connection` fields.
  private(set) var options: [String] = []
  /// The first `Expect`.
  private(set) var expectation: String?

  init(_ headers: Headers) {
    for field in headers.fields {
      // Most fields are told by the length of their name alone.
      switch field.name.utf8.count {
      case 4 where equalIgnoringCase(field.name, "Host"):
        hosts += 1
        host = host ?? field.value
      case 6 where expectation == nil && equalIgnoringCase(field.name, "Expect"):
        expectation = field.value
      case 10 where equalIgnoringCase(field.name, "Connection"):
        options += Self.elements(field.value)
      case 14 where equalIgnoringCase(field.name, "Content-Length"):
        lengths += 1
        length = length ?? field.value
      case 17 where equalIgnoringCase(field.name, "Transfer-Encoding"):
        codings = (codings ?? []) + Self.elements(field.value)
      default: break
      }
    }
  }

  /// Of a list, in lower case, the empty ones included.
  private static func elements(_ list: String) -> [String] {
    list.split(separator: ",", omittingEmptySubsequences: false).map {
      $0.trimmingSpace.lowercased()
    }
  }
}

extension Substring {
  var trimmingSpace: Substring {
    var text = self
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}
