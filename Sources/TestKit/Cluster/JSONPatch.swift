import JSON

/// RFC 6902, as section A.7 describes its use.
enum JSONPatch {
  static func applied(_ patch: JSON, to object: JSON) throws(APIFailure) -> JSON {
    guard case .array(let operations) = patch else {
      throw .bad("a JSON patch is an array of operations")
    }
    var result = object
    for operation in operations {
      let path = try pointer(operation["path"])
      switch operation["op"]?.asString ?? "" {
      case "add":
        guard let value = operation["value"] else { throw .bad("add without value") }
        result = try adding(value, at: path, in: result)
      case "replace":
        guard let value = operation["value"] else { throw .bad("replace without value") }
        guard get(path, in: result) != nil else { throw missing(operation) }
        result = try path.isEmpty ? value : adding(value, at: path, in: removing(path, in: result))
      case "remove":
        guard get(path, in: result) != nil else { throw missing(operation) }
        result = try removing(path, in: result)
      case "move":
        let from = try pointer(operation["from"])
        guard let value = get(from, in: result) else { throw missing(operation) }
        result = try adding(value, at: path, in: removing(from, in: result))
      case "copy":
        guard let value = get(try pointer(operation["from"]), in: result) else {
          throw missing(operation)
        }
        result = try adding(value, at: path, in: result)
      case "test":
        guard get(path, in: result) == operation["value"] else {
          throw .invalid("the server rejected our request: testing \(operation.text) failed")
        }
      default: throw .bad("unknown operation \(operation.text)")
      }
    }
    return result
  }

  private static func missing(_ operation: JSON) -> APIFailure {
    .invalid("the server rejected our request: \(operation.text): missing path")
  }

  private static func pointer(_ value: JSON?) throws(APIFailure) -> [String] {
    guard let text = value?.asString else { throw .bad("an operation without a path") }
    if text.isEmpty { return [] }
    guard text.hasPrefix("/") else { throw .bad("a path that does not begin with /") }
    return text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map {
      String($0).replacing("~1", with: "/").replacing("~0", with: "~")
    }
  }

  private static func get(_ path: [String], in value: JSON) -> JSON? {
    var value = value
    for key in path {
      if case .array(let items) = value {
        guard let index = Int(key), items.indices.contains(index) else { return nil }
        value = items[index]
      } else if let next = value[key] {
        value = next
      } else {
        return nil
      }
    }
    return value
  }

  private static func adding(
    _ value: JSON,
    at path: [String],
    in object: JSON
  ) throws(APIFailure) -> JSON {
    guard let key = path.first else { return value }
    let rest = Array(path.dropFirst())
    switch object {
    case .array(var items):
      if rest.isEmpty {
        if key == "-" { return .array(items + [value]) }
        guard let index = Int(key), (0...items.count).contains(index) else {
          throw .invalid("the server rejected our request: no place \(key)")
        }
        items.insert(value, at: index)
        return .array(items)
      }
      guard let index = Int(key), items.indices.contains(index) else {
        throw .invalid("the server rejected our request: no place \(key)")
      }
      items[index] = try adding(value, at: rest, in: items[index])
      return .array(items)
    case .object(var members):
      if let place = members.firstIndex(where: { $0.key == key }) {
        members[place].value =
          try rest.isEmpty ? value : adding(value, at: rest, in: members[place].value)
        return .object(members)
      }
      guard rest.isEmpty else {
        throw .invalid("the server rejected our request: doc is missing path \(key)")
      }
      return .object(members + [.init(key: key, value: value)])
    default: throw .invalid("the server rejected our request: no container at \(key)")
    }
  }

  private static func removing(_ path: [String], in object: JSON) throws(APIFailure) -> JSON {
    guard let key = path.first else { return .null }
    let rest = Array(path.dropFirst())
    switch object {
    case .array(var items):
      guard let index = Int(key), items.indices.contains(index) else { return object }
      if rest.isEmpty {
        items.remove(at: index)
      } else {
        items[index] = try removing(rest, in: items[index])
      }
      return .array(items)
    case .object(var members):
      guard let place = members.firstIndex(where: { $0.key == key }) else { return object }
      if rest.isEmpty {
        members.remove(at: place)
      } else {
        members[place].value = try removing(rest, in: members[place].value)
      }
      return .object(members)
    default: return object
    }
  }
}
