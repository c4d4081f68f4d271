import Glibc
import HTTPClient
import JSON
import Posix
import Synchronization

/// Where a repository's hooks hand pushes over: a program on this machine, by its socket file, or one
/// elsewhere, over HTTPS with a token.
package enum HandOver: Sendable, Equatable {
  case socket(String)
  /// - Parameters:
  ///   - token: the path of a file that holds it, read by the hook.
  ///   - authorities: the path of a file of PEM certificates in place of the system's.
  case https(url: String, token: String, authorities: String?)

  private static let fileBytesMax = 1 << 20

  /// nil for anything that `json` did not write.
  init?(_ json: JSON) {
    if let socket = json["socket"]?.asString {
      self = .socket(socket)
    } else if let url = json["url"]?.asString, let token = json["token"]?.asString {
      self = .https(url: url, token: token, authorities: json["authorities"]?.asString)
    } else {
      return nil
    }
  }

  var members: [JSON.Member] {
    switch self {
    case .socket(let path): return [.init(key: "socket", value: .string(path))]
    case .https(let url, let token, let authorities):
      var members: [JSON.Member] = [
        .init(key: "url", value: .string(url)), .init(key: "token", value: .string(token)),
      ]
      if let authorities {
        members.append(.init(key: "authorities", value: .string(authorities)))
      }
      return members
    }
  }

  /// What is wrong with it; nil where hooks can use it.
  var problem: String? {
    guard case .https(let url, _, _) = self else { return nil }
    do throws(OutboundError) {
      let parsed = try OutboundURL(parsing: url)
      if parsed.scheme != "https" { return "a push and its token go over https only: \(parsed)" }
      if parsed.hasUser { return "the URL names a user" }
      if url.contains("?") || url.contains("#") { return "the URL has more than a path" }
      return nil
    } catch { return "\(error)" }
  }

  /// Posts JSON. Blocks, also where concurrency has not begun.
  /// - Parameters:
  ///   - route: the path on the socket file.
  ///   - below: what follows route or URL.
  /// - Throws: `SystemError`; `EPROTO` where there is no answer.
  func post(
    _ route: String,
    _ below: String,
    _ body: [UInt8],
    until deadline: MonotonicTime
  ) throws(SystemError) -> (status: Int, body: [UInt8]) {
    let time = max(Duration.milliseconds(50), deadline - .now())
    switch self {
    case .socket(let path):
      let head =
        "POST \(route)\(below) HTTP/1.1\r\nHost: push\r\nConnection: close\r\n"
        + "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
      let answer = try Socket.exchange(Array(head.utf8) + body, path: path, atMost: time)
      let end = Array("\r\n\r\n".utf8)
      let line = String(decoding: answer.prefix(12), as: UTF8.self)
      guard line.hasPrefix("HTTP/1.1 "), let status = Int(line.dropFirst(9)),
        let place = answer.firstRange(of: end)
      else { throw SystemError("push", path, code: EPROTO) }
      return (status, Array(answer[place.upperBound...]))
    case .https(let url, let tokenFile, let authorities):
      var token = try Files.read(tokenFile, limit: Self.fileBytesMax)
      while let last = token.last, last == 0x0a || last == 0x0d { token.removeLast() }
      var request = OutboundRequest(
        .post,
        url + below,
        headers: [
          ("Authorization", "Bearer " + String(decoding: token, as: UTF8.self)),
          ("Content-Type", "application/json"),
        ],
        body: body,
        rule: .trusted,
        timeout: time,
        bodyLimit: 64 << 10
      )
      if let authorities {
        request.tls = OutboundTLS(
          authorities: try Files.read(authorities, limit: Self.fileBytesMax)
        )
      }
      let response = try Self.send(request)
      return (response.status, response.body)
    }
  }

  private static func send(
    _ request: OutboundRequest
  ) throws(SystemError) -> OutboundResponse {
    let client = try HTTPClient()
    let bell = try Bell()
    let box = SharedResult()
    Task.detached {
      do throws(OutboundError) {
        let response = try await client.send(request)
        box.result.withLock { $0 = .success(response) }
      } catch { box.result.withLock { $0 = .failure(error) } }
      await client.close()
      bell.ring()
    }
    // The client keeps to the request's time.
    bell.wait()
    switch box.result.withLock({ $0 }) {
    case .success(let response): return response
    case .failure(let error): throw SystemError("push", "\(error)", code: EPROTO)
    case nil: throw SystemError("push", "no answer", code: EPROTO)
    }
  }

  private final class SharedResult: Sendable {
    let result = Mutex<Result<OutboundResponse, OutboundError>?>(nil)
  }
}
