import HTTP
import JSON

/// A Status object that says no (section A.9).
struct APIFailure: Error {
  let code: Int
  let reason: String
  let message: String
  var details: JSON = .null
  var retryAfterSeconds: Int?

  var status: JSON {
    var status: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
      "message": .string(message), "reason": .string(reason), "code": JSON(code),
    ]
    if details != .null { status.set(details, at: "details") }
    return status
  }

  var response: Response {
    var response = Response.json(code, status.encoded())
    if let retryAfterSeconds { response.headers.add("Retry-After", "\(retryAfterSeconds)") }
    return response
  }

  static func notFound(_ kind: APIKind, _ name: String) -> APIFailure {
    APIFailure(
      code: 404,
      reason: "NotFound",
      message: "\(kind.plural).\(kind.group) \"\(name)\" not found",
      details: ["name": .string(name), "group": .string(kind.group), "kind": .string(kind.plural)]
    )
  }

  /// A path or kind nobody serves: without details.
  static let noSuchResource = APIFailure(
    code: 404,
    reason: "NotFound",
    message: "the server could not find the requested resource"
  )

  static func alreadyExists(_ kind: APIKind, _ name: String) -> APIFailure {
    APIFailure(
      code: 409,
      reason: "AlreadyExists",
      message: "\(kind.plural).\(kind.group) \"\(name)\" already exists",
      details: ["name": .string(name), "group": .string(kind.group), "kind": .string(kind.plural)]
    )
  }

  static func conflict(_ kind: APIKind, _ name: String, _ why: String) -> APIFailure {
    APIFailure(
      code: 409,
      reason: "Conflict",
      message: "Operation cannot be fulfilled on \(kind.plural).\(kind.group) \"\(name)\": \(why)",
      details: ["name": .string(name), "group": .string(kind.group), "kind": .string(kind.plural)]
    )
  }

  static func invalid(_ message: String) -> APIFailure {
    APIFailure(code: 422, reason: "Invalid", message: message)
  }

  static func bad(_ message: String) -> APIFailure {
    APIFailure(code: 400, reason: "BadRequest", message: message)
  }

  static let expired = APIFailure(
    code: 410,
    reason: "Expired",
    message: "too old resource version"
  )
}
