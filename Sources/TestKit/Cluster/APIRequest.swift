import HTTP
import JSON

/// A request by the URL grammar of section A.3.
struct APIRequest {
  let method: String
  let kind: APIKind
  /// nil: all namespaces.
  let namespace: String?
  let name: String?
  let subresource: String?
  let query: [String: String]
  let contentType: String
  let body: [UInt8]

  var options: APIStore.Options {
    var options = APIStore.Options()
    options.manager = query["fieldManager"] ?? "unknown"
    options.isDryRun = query["dryRun"] == "All"
    options.isForced = query["force"] == "true"
    options.isStrict = query["fieldValidation"] == "Strict"
    options.subresource = subresource
    return options
  }

  func json() throws(APIFailure) -> JSON {
    if body.isEmpty { return .null }
    do throws(JSONError) { return try JSON(parsing: body) } catch {
      throw .bad("the body is no JSON: \(error)")
    }
  }

  /// What a role has to allow: the verb and the resource.
  var right: String {
    let isWatch = query["watch"] == "1" || query["watch"] == "true"
    let verb =
      switch (method, name) {
      case ("GET", nil): isWatch ? "watch" : "list"
      case ("POST", _): "create"
      case ("PUT", _): "update"
      default: method.lowercased()
      }
    return "\(verb) \(kind.group)/\(kind.plural)" + (subresource.map { "/\($0)" } ?? "")
  }

  static func query(_ text: String) -> [String: String] {
    var query: [String: String] = [:]
    for pair in text.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      query[decoded(String(parts[0]))] = parts.count > 1 ? decoded(String(parts[1])) : ""
    }
    return query
  }

  static func decoded(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == 0x25, rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte == 0x2b ? 0x20 : byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// nil for a path that is none of a collection or an object.
  init?(_ request: Request, _ kinds: [APIKind]) {
    var parts = request.head.path.split(separator: "/").map { Self.decoded(String($0)) }
    guard let root = parts.first else { return nil }
    let (group, version): (String, String)
    if root == "api", parts.count >= 3 {
      (group, version) = ("", parts[1])
      parts.removeFirst(2)
    } else if root == "apis", parts.count >= 4 {
      (group, version) = (parts[1], parts[2])
      parts.removeFirst(3)
    } else {
      return nil
    }
    var namespace: String?
    if parts[0] == "namespaces", parts.count >= 3 {
      namespace = parts[1]
      parts.removeFirst(2)
    }
    guard
      let kind = kinds.first(where: {
        $0.group == group && $0.version == version && $0.plural == parts[0]
      }), parts.count <= 3
    else { return nil }
    self.kind = kind
    self.namespace = kind.isNamespaced ? namespace : ""
    name = parts.count > 1 ? parts[1] : nil
    subresource = parts.count > 2 ? parts[2] : nil
    method = request.head.method
    query = Self.query(request.head.query)
    contentType = (request.head.headers["Content-Type"] ?? "application/json")
    body = request.body
  }
}
