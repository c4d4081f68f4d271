import HTTP
import JSON
import Posix
import Synchronization

/// What GitHub and GitLab keep of the deliveries of a hook: each attempt with its answer, asked for
/// in pages from the newest on, and sent anew on request.
struct TestDeliveries {
  struct Attempt {
    let id: Int
    let guid: String
    let event: String
    let body: [UInt8]
    let isRedelivery: Bool
    /// 0: nobody answered.
    var status: Int
    /// Whether GitLab gave it a key that stays when it is sent again.
    var hasKey = true
  }

  private(set) var attempts: [Attempt] = []
  /// Those that somebody asked for and that are not sent yet.
  private(set) var asked: [Attempt] = []
  /// When GitLab sent some again: five a minute, and no more.
  private var sentAgain: [MonotonicTime] = []
  /// Whether GitLab is too old to tell of them.
  var isAbsent = false

  private static let againPerMinute = 5

  mutating func add(_ attempt: (Int) -> Attempt) {
    attempts.append(attempt(1_000_000 + attempts.count))
  }

  mutating func takeAsked() -> [Attempt] {
    defer { asked = [] }
    return asked
  }

  /// GitLab's `…/hooks/ID/events`, or `resend` of one.
  mutating func answerGitLab(
    _ request: Request,
    _ path: String,
    _ pageMax: Int,
    _ address: String
  ) -> Response {
    let rest = path.split(separator: "/").map(String.init).split(separator: "events").last ?? []
    if isAbsent || path.split(separator: "/").last == "events" {
      return isAbsent
        ? TestForgeServer.message(404, "404 Not Found")
        : numberedPage(request, pageMax, address)
    }
    guard rest.count == 2, request.head.method == "POST", rest.last == "resend",
      let attempt = attempts.first(where: { "\($0.id)" == rest.first })
    else { return TestForgeServer.message(404, "404 Not Found") }
    let minuteAgo = MonotonicTime.now() + .seconds(-60)
    sentAgain.removeAll { $0 <= minuteAgo }
    guard sentAgain.count < Self.againPerMinute else {
      return TestForgeServer.message(429, "This endpoint has been requested too many times.")
    }
    sentAgain.append(.now())
    asked.append(attempt)
    return .json(201, Array(#"{"response_status":200}"#.utf8))
  }

  private func numberedPage(_ request: Request, _ pageMax: Int, _ address: String) -> Response {
    let query = APIRequest.query(request.head.query)
    let size = min(Int(query["per_page"] ?? "") ?? 20, pageMax)
    let number = Int(query["page"] ?? "") ?? 1
    let part = attempts.reversed().dropFirst((number - 1) * size).prefix(size)
    var response = Response.json(200, JSON.array(part.map(Self.describedByGitLab)).encoded())
    if attempts.count > number * size {
      let next = "\(address)?per_page=\(size)&page=\(number + 1)"
      response.headers.add("Link", "<\(next)>; rel=\"next\"")
    }
    return response
  }

  private static func describedByGitLab(_ attempt: Attempt) -> JSON {
    var headers: JSON = [
      "Content-Type": "application/json", "User-Agent": "GitLab/17.4.0",
      "X-Gitlab-Event": .string(attempt.event), "X-Gitlab-Webhook-UUID": "w",
      "X-Gitlab-Event-UUID": .string(attempt.hasKey ? "event-\(attempt.id)" : attempt.guid),
      "X-Gitlab-Token": "[REDACTED]",
    ]
    if attempt.hasKey { headers.set(.string(attempt.guid), at: "Idempotency-Key") }
    return [
      "id": JSON(attempt.id), "url": "https://bus.example/hook", "trigger": "push_hooks",
      "request_headers": headers, "request_data": (try? JSON(parsing: attempt.body)) ?? .null,
      "response_headers": [:], "response_body": "", "execution_duration": .number("1.5"),
      "response_status": .string(attempt.status == 0 ? "internal error" : "\(attempt.status)"),
    ]
  }

  /// GitHub's `…/hooks/ID/deliveries`, one of them, or its `attempts`.
  mutating func answer(
    _ request: Request,
    _ path: String,
    _ pageMax: Int,
    _ address: String
  ) -> Response {
    let parts = path.split(separator: "/").map(String.init)
    guard let place = parts.firstIndex(of: "deliveries") else {
      return TestForgeServer.message(404, "Not Found")
    }
    let rest = parts[(place + 1)...]
    if rest.isEmpty { return page(request, pageMax, address) }
    guard let id = rest.first.flatMap({ Int($0) }),
      let attempt = attempts.first(where: { $0.id == id })
    else { return TestForgeServer.message(404, "Not Found") }
    if rest.count == 2, request.head.method == "POST", rest.last == "attempts" {
      asked.append(attempt)
      return .json(202, Array("{}".utf8))
    }
    return .json(200, Self.described(attempt, whole: true).encoded())
  }

  private func page(_ request: Request, _ pageMax: Int, _ address: String) -> Response {
    let query = APIRequest.query(request.head.query)
    let size = min(Int(query["per_page"] ?? "") ?? 30, pageMax)
    let newest = attempts.reversed()
    let start = query["cursor"].flatMap { cursor in Int(cursor.dropFirst()) } ?? Int.max
    let rest = newest.filter { $0.id <= start }
    let part = rest.prefix(size)
    var response = Response.json(
      200,
      JSON.array(part.map { Self.described($0, whole: false) }).encoded()
    )
    if rest.count > size, let next = rest.dropFirst(size).first {
      response.headers.add(
        "Link",
        "<\(address)?per_page=\(size)&cursor=v\(next.id)>; rel=\"next\""
      )
    }
    return response
  }

  private static func described(_ attempt: Attempt, whole: Bool) -> JSON {
    var json: JSON = [
      "id": JSON(attempt.id), "guid": .string(attempt.guid), "event": .string(attempt.event),
      "delivered_at": "2026-11-26T12:00:00Z", "redelivery": .bool(attempt.isRedelivery),
      "duration": "0.1", "status_code": JSON(attempt.status),
      "status": .string(attempt.status / 100 == 2 ? "OK" : "Invalid HTTP Response"),
      "action": .null, "throttled_at": .null,
    ]
    if whole {
      let headers: JSON = [
        "Content-Type": "application/json", "X-GitHub-Event": .string(attempt.event),
        "X-GitHub-Delivery": .string(attempt.guid),
      ]
      let payload = (try? JSON(parsing: attempt.body)) ?? .null
      json.set(["headers": headers, "payload": payload], at: "request")
    }
    return json
  }
}

extension TestForgeServer {
  /// Notes that an event was sent to a hook, and what came back.
  package func delivered(
    _ guid: String,
    _ event: String,
    _ body: [UInt8],
    status: Int,
    again: Bool = false,
    hasKey: Bool = true
  ) {
    state.withLock { state in
      state.deliveries.add { id in
        TestDeliveries.Attempt(
          id: id,
          guid: guid,
          event: event,
          body: body,
          isRedelivery: again,
          status: status,
          hasKey: hasKey
        )
      }
    }
  }

  /// Makes it a GitLab that is too old to tell of deliveries.
  package func forgetDeliveries() { state.withLock { $0.deliveries.isAbsent = true } }

  /// What somebody asked to be sent again, once.
  package func takeRedeliveries() -> [(guid: String, event: String, body: [UInt8])] {
    state.withLock { $0.deliveries.takeAsked() }.map { ($0.guid, $0.event, $0.body) }
  }
}
