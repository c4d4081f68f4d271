import Posix
import Synchronization

@testable import HTTP

/// `/wait` answers when its gate opens, `/big` with a megabyte, `/now` by the head, `/who` with
/// the client's address; the rest echoes its body.
final class Gated: RequestHandler {
  let gate = Gate()
  let arrived = Gate()
  let arrivals = Atomic<Int>(0)

  func accept(_ head: RequestHead) -> Acceptance {
    if head.path == "/now" { return .answer(.text(200, "now")) }
    if head.path == "/who" {
      return .answer(.json(200, Array((head.client?.description ?? "nobody").utf8)))
    }
    return .read(bodyLimit: 1 << 20) { [self] request in
      switch request.head.path {
      case "/wait":
        arrivals.add(1, ordering: .relaxed)
        arrived.open()
        await gate.wait()
        return .text(200, "waited")
      case "/big": return .json(200, [UInt8](repeating: 0x61, count: 1 << 20))
      default: return .json(200, Array(request.head.path.utf8) + request.body)
      }
    }
  }
}

/// Opens once; who waits goes on.
final class Gate: Sendable {
  private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>(
    (false, [])
  )

  func open() {
    let waiting = state.withLock { state in
      defer { state = (true, []) }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }
}

/// Runs a server for `body`, then opens the gate and shuts it down.
func withServer(
  _ limits: HTTPLimits = HTTPLimits(),
  _ body: (Int, Gated, borrowing Mutex<[HTTPMisuse]>) async throws -> Void
) async throws {
  let loop = try EventLoop(name: "connections")
  let handler = Gated()
  let misuses = Misuses()
  let server = try await HTTPServer(
    address: "127.0.0.1",
    port: 0,
    loops: [loop],
    limits: limits,
    observer: HTTPObserver(misused: { how in misuses.all.withLock { $0.append(how) } }),
    handler: handler
  )
  try await body(server.port, handler, misuses.all)
  handler.gate.open()
  await server.shutdown(grace: .seconds(5))
  loop.stop()
}

private final class Misuses: Sendable {
  let all = Mutex<[HTTPMisuse]>([])
}
