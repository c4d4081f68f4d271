/// Bounds on what one peer, and all together, may cost.
package struct HTTPLimits: Sendable {
  /// Request line and headers, in bytes; beyond: 431.
  package var headBytes = 32 << 10
  /// Header fields; beyond: 431.
  package var headerCount = 100
  /// All request bodies in memory together; beyond: 503. Servers with the same one share it.
  package var bodies = BodyBudget(64 << 20)
  /// From the first byte of a request to the end of its head; beyond: 408. A TLS handshake has
  /// the same time.
  package var headTime = Duration.seconds(10)
  /// From the end of the head to the end of the body; beyond: 408.
  package var bodyTime = Duration.seconds(60)
  /// Between two requests on a connection.
  package var idleTime = Duration.seconds(75)
  /// Without progress while an answer is being sent.
  package var sendTime = Duration.seconds(30)
  /// For a peer to read the last answer while it still sends.
  package var lingerTime = Duration.seconds(5)
  /// How long an idle connection may still bring a request when the server stops; it is answered,
  /// and the connection closed.
  package var quietTime = Duration.milliseconds(250)
  /// Open connections; beyond, new ones get 503 and are closed.
  package var connections = 10_000
  /// Requests at the same time on one connection of HTTP/2.
  package var streams = 100
  /// Body bytes that may be on their way on one stream, and on all streams of a connection.
  package var windowBytes = (stream: 256 << 10, connection: 1 << 20)

  /// Who clients are behind proxies, and how much each may ask.
  package var clients = ClientRules()

  package init() {}

  /// How often deadlines are looked at: often enough for the shortest of them.
  var sweepTime: Duration {
    let shortest = min(headTime, bodyTime, idleTime, sendTime, lingerTime)
    return max(.milliseconds(5), min(.seconds(1), shortest / 4))
  }
}
