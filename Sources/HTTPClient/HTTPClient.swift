package import Posix
import Synchronization

/// Sends requests to other servers: HTTP/1.1, and HTTP/2 over TLS, with connections kept for the
/// next request. Certificates are always verified, redirects never followed, proxies and `.netrc`
/// never read, and every connection is held to the request's `AddressRule`.
///
/// It runs on a thread of its own until `close`.
package final class HTTPClient: Sendable {
  package struct Limits: Sendable {
    /// Connections open at once; more requests wait.
    package var connections = 512
    package var connectionsPerHost = 64
    /// Requests under way at once, the waiting ones included; more are refused.
    package var requests = 4096

    package init() {}
  }

  private let loop: EventLoop
  private let pool: TransferPool
  private let isClosed = Mutex(false)

  /// - Throws: `SystemError` when the system has no thread or descriptors to give.
  package init(limits: Limits = Limits()) throws(SystemError) {
    // OpenSSL writes to sockets without MSG_NOSIGNAL.
    Signals.ignoreBrokenPipes()
    loop = try EventLoop(name: "http-client")
    pool = try TransferPool(loop, limits)
  }

  /// Sends `request` and waits for the whole answer, whatever its status. Cancelling the task
  /// breaks the connection.
  /// - Throws: `OutboundError`; the request may have arrived nevertheless, unless its kind is
  ///   `resolve`, `connect`, `refusedAddress`, `malformedURL` or `malformedHeader`.
  package func send(
    _ request: OutboundRequest
  ) async throws(OutboundError) -> OutboundResponse {
    try await run(try Transfer(request))
  }

  /// Gives a mail server a message for all its recipients, or none of them, and waits for what it
  /// says. Each message has a connection of its own.
  /// - Throws: `MailError`; the server may have taken the message nevertheless where the connection
  ///   broke behind it.
  package func send(_ mail: OutboundMail) async throws(MailError) -> MailReply {
    let transfer: Transfer
    do throws(OutboundError) { transfer = try Transfer(mail) } catch {
      throw MailError(cause: error, reply: nil)
    }
    do throws(OutboundError) {
      let response = try await run(transfer)
      return MailReply(code: response.status, text: transfer.lastLine)
    } catch { throw MailError(cause: error, reply: transfer.reply) }
  }

  /// Sends `request` and hands the body of an answer with a status from 200 to 299 to `receive`
  /// while it arrives, however long that goes on within the request's time; other bodies are kept
  /// as `send` keeps them. It has a connection of HTTP/1.1 to itself. Returns at the end of the body.
  /// - Parameter receive: called on the client's thread, which must not wait; what it gets is in no
  ///   other place. False ends the transfer, which then is marked as truncated.
  /// - Throws: `OutboundError`, also when the connection broke in the middle of the body.
  package func stream(
    _ request: OutboundRequest,
    receive: @escaping @Sendable ([UInt8]) -> Bool
  ) async throws(OutboundError) -> OutboundResponse {
    try await run(try Transfer(request, receive: receive))
  }

  private func run(_ transfer: Transfer) async throws(OutboundError) -> OutboundResponse {
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        transfer.continuation = continuation
        // The lock orders this post against `close`: what is posted before its last turn is
        // ended by it, and nothing is posted after.
        let isAccepted = isClosed.withLock { isClosed in
          if !isClosed { loop.post { [pool] in pool.start(transfer) } }
          return !isClosed
        }
        if !isAccepted { continuation.resume(returning: .failure(.cancelled)) }
      }
    } onCancel: {
      loop.post { [pool] in pool.cancel(transfer) }
    }
    return try result.get()
  }

  /// Ends every request under way as cancelled, closes the connections and ends the thread.
  package func close() async {
    let isFirst = isClosed.withLock { isClosed in
      defer { isClosed = true }
      return !isClosed
    }
    guard isFirst else { return }
    await withCheckedContinuation { continuation in
      loop.post { [pool] in
        pool.shutDown()
        continuation.resume()
      }
    }
    loop.stop()
  }
}
