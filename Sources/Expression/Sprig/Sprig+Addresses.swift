extension Sprig {
  private typealias Make = TemplateFunctions

  /// URLs and paths. Paths of the system are paths with slashes here.
  static let addresses: [TemplateFunction] =
    [
      Make.make("urlParse", .string) { (arguments, _) throws(TemplateFailure) in
        let url = try GoURL(parsing: arguments[0].text)
        return .map(
          GoMap([
            "scheme": .string(url.scheme), "host": .string(url.host),
            "hostname": .string(url.hostName), "path": .string(url.path),
            "query": .string(url.query), "opaque": .string(url.opaque),
            "fragment": .string(url.fragment), "userinfo": .string(url.userInfo ?? ""),
          ])
        )
      },
      Make.make("urlJoin", .dict) { (arguments, _) throws(TemplateFailure) in
        let parts = arguments[0].dict
        func part(_ key: ByteString) throws(TemplateFailure) -> ByteString {
          switch parts[key] {
          case nil: return ""
          case .string(let text)?: return text
          case let value?:
            throw TemplateFailure(
              "unable to parse \(key) key, must be of type string, but \(value.kindName) found"
            )
          }
        }
        var url = GoURL()
        url.scheme = try part("scheme")
        url.host = try part("host")
        url.path = try part("path")
        url.query = try part("query")
        url.opaque = try part("opaque")
        url.fragment = try part("fragment")
        let user = try part("userinfo")
        if !user.isEmpty {
          url.userInfo = try GoURL(parsing: "proto://" + user + "@host").userInfo
        }
        return .string(url.text)
      },
    ]
    + [("base", base), ("dir", directory), ("clean", clean), ("ext", suffix)].flatMap {
      (name: String, body: @escaping @Sendable (ByteString) -> ByteString) in
      [name, "os" + name.prefix(1).uppercased() + name.dropFirst()].map { name in
        Make.make(name, .string) { arguments, _ in .string(body(arguments[0].text)) }
      }
    }
    + ["isAbs", "osIsAbs"].map { name in
      Make.make(name, .string) { arguments, _ in .bool(arguments[0].text.hasPrefix("/")) }
    }

  @Sendable private static func base(_ path: ByteString) -> ByteString {
    if path.isEmpty { return "." }
    var rest = path.bytes
    while rest.last == 0x2f { rest.removeLast() }
    if rest.isEmpty { return "/" }
    let start = rest.lastIndex(of: 0x2f).map { $0 + 1 } ?? rest.startIndex
    return ByteString(rest[start...])
  }

  @Sendable private static func directory(_ path: ByteString) -> ByteString {
    clean(path[0..<(path.lastIndex(of: "/").map { $0 + 1 } ?? 0)])
  }

  @Sendable private static func suffix(_ path: ByteString) -> ByteString {
    let name = path[(path.lastIndex(of: "/").map { $0 + 1 } ?? 0)..<path.count]
    return name.lastIndex(of: ".").map { name[$0..<name.count] } ?? ""
  }

  /// The shortest path to the same place, by the text alone.
  @Sendable private static func clean(_ path: ByteString) -> ByteString {
    let isRooted = path.hasPrefix("/")
    var parts: [ByteString] = []
    for part in path.split("/", limit: -1) where !part.isEmpty && part != "." {
      if part != ".." {
        parts.append(part)
      } else if let last = parts.last, last != ".." {
        parts.removeLast()
      } else if !isRooted {
        parts.append(part)
      }
    }
    let body = joined(parts, "/")
    if isRooted { return "/" + body }
    return body.isEmpty ? "." : body
  }
}
