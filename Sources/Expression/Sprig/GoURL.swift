/// A URL in its parts, as Go's `net/url` reads and writes them.
struct GoURL {
  var scheme: ByteString = ""
  var opaque: ByteString = ""
  /// Name and, with a colon before it, password, escaped.
  var userInfo: ByteString?
  var host: ByteString = ""
  var path: ByteString = ""
  /// Without its question mark, as written.
  var query: ByteString = ""
  var fragment: ByteString = ""

  enum Part { case host, path, user, fragment }

  init() {}

  /// `url.Parse`.
  init(parsing text: ByteString) throws(TemplateFailure) {
    guard text.bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
      throw TemplateFailure("net/url: invalid control character in URL")
    }
    var rest = text
    if let mark = rest.index(of: "#") {
      fragment = try Self.unescaped(rest[mark + 1..<rest.count], .fragment)
      rest = rest[0..<mark]
    }
    if rest == "*" {
      path = "*"
      return
    }
    (scheme, rest) = try Self.scheme(rest)
    if let mark = rest.index(of: "?") {
      query = rest[mark + 1..<rest.count]
      rest = rest[0..<mark]
    }
    if !rest.hasPrefix("/") {
      if !scheme.isEmpty {
        opaque = rest
        return
      }
      let segment = rest[0..<(rest.index(of: "/") ?? rest.count)]
      if segment.contains(":") {
        throw TemplateFailure("first path segment in URL cannot contain colon")
      }
    }
    if rest.hasPrefix("//"), !scheme.isEmpty || !rest.hasPrefix("///") {
      let body = rest[2..<rest.count]
      let end = body.index(of: "/") ?? body.count
      try readAuthority(body[0..<end])
      rest = body[end..<body.count]
    }
    path = try Self.unescaped(rest, .path)
  }

  private static func scheme(
    _ text: ByteString
  ) throws(TemplateFailure) -> (scheme: ByteString, rest: ByteString) {
    for (place, byte) in text.bytes.enumerated() {
      switch byte {
      case 0x41...0x5a, 0x61...0x7a: continue
      case 0x30...0x39, 0x2b, 0x2d, 0x2e:
        if place == 0 { return ("", text) }
      case 0x3a:
        if place == 0 { throw TemplateFailure("missing protocol scheme") }
        return (text[0..<place].lowercased, text[place + 1..<text.count])
      default: return ("", text)
      }
    }
    return ("", text)
  }

  private mutating func readAuthority(_ text: ByteString) throws(TemplateFailure) {
    var host = text
    if let at = text.lastIndex(of: "@") {
      let user = text[0..<at]
      let isGood = user.bytes.allSatisfy {
        GoEscapes.isUnreserved($0) || "-._:~!$&'()*+,;=%@".utf8.contains($0)
      }
      guard isGood else { throw TemplateFailure("net/url: invalid userinfo") }
      let colon = user.index(of: ":")
      let name = try Self.unescaped(user[0..<(colon ?? user.count)], .user)
      var escaped = Self.escaped(name, .user)
      if let colon {
        let password = try Self.unescaped(user[colon + 1..<user.count], .user)
        escaped = escaped + ":" + Self.escaped(password, .user)
      }
      userInfo = escaped
      host = text[at + 1..<text.count]
    }
    let colon: Int?
    if host.hasPrefix("[") {
      guard let close = host.lastIndex(of: "]") else {
        throw TemplateFailure("missing ']' in host")
      }
      colon = close + 1 < host.count ? close + 1 : nil
    } else {
      colon = host.lastIndex(of: ":")
    }
    if let colon {
      let port = host[colon..<host.count].bytes
      guard port.first == 0x3a, port.dropFirst().allSatisfy({ (0x30...0x39).contains($0) }) else {
        throw TemplateFailure("invalid port \"\(host[colon..<host.count])\" after host")
      }
    }
    self.host = try Self.unescaped(host, .host)
  }

  /// Without port and brackets.
  var hostName: ByteString {
    if host.hasPrefix("["), let close = host.index(of: "]") { return host[1..<close] }
    return host[0..<(host.lastIndex(of: ":") ?? host.count)]
  }

  /// `URL.String`.
  var text: ByteString {
    var out: ByteString = scheme.isEmpty ? "" : scheme + ":"
    if !opaque.isEmpty {
      out = out + opaque
    } else {
      if !scheme.isEmpty || !host.isEmpty || userInfo != nil {
        if !host.isEmpty || !path.isEmpty || userInfo != nil { out = out + "//" }
        if let userInfo { out = out + userInfo + "@" }
        out = out + Self.escaped(host, .host)
      }
      let path = path == "*" ? path : Self.escaped(path, .path)
      if !path.isEmpty, !path.hasPrefix("/"), !host.isEmpty { out = out + "/" }
      if out.isEmpty, path[0..<(path.index(of: "/") ?? path.count)].contains(":") {
        out = "./"
      }
      out = out + path
    }
    if !query.isEmpty { out = out + "?" + query }
    if !fragment.isEmpty { out = out + "#" + Self.escaped(fragment, .fragment) }
    return out
  }

  private static func isPlain(_ byte: UInt8, _ part: Part) -> Bool {
    if GoEscapes.isUnreserved(byte) { return true }
    switch part {
    case .host: return "!$&'()*+,;=:[]<>\"".utf8.contains(byte)
    case .path: return "$&+,/:;=@".utf8.contains(byte)
    case .user: return "$&+,;=".utf8.contains(byte)
    case .fragment: return "$&+,/:;=?@!()*".utf8.contains(byte)
    }
  }

  private static func escaped(_ text: ByteString, _ part: Part) -> ByteString {
    var out: [UInt8] = []
    for byte in text.bytes {
      if isPlain(byte, part) { out.append(byte) } else { GoEscapes.appendPercent(byte, &out) }
    }
    return ByteString(out)
  }

  private static func unescaped(
    _ text: ByteString,
    _ part: Part
  ) throws(TemplateFailure) -> ByteString {
    var out: [UInt8] = []
    var rest = text.bytes
    while let byte = rest.first {
      guard byte == 0x25 else {
        if part == .host, byte < 0x80, !isPlain(byte, .host) {
          throw TemplateFailure("invalid character in host name")
        }
        out.append(byte)
        rest.removeFirst()
        continue
      }
      let digits = rest.dropFirst().prefix(2)
      guard digits.count == 2, digits.first != 0x2b, digits.first != 0x2d,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16),
        // In a host only bytes beyond ASCII and the percent sign itself may be escaped.
        part != .host || value >= 0x80 || value == 0x25
      else { throw TemplateFailure("invalid URL escape") }
      out.append(value)
      rest = rest.dropFirst(3)
    }
    return ByteString(out)
  }
}
