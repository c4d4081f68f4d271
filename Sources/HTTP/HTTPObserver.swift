/// What the server tells those who count. Called on a loop; must not wait.
package struct HTTPObserver: Sendable {
  package var answered: @Sendable (Answered) -> Void
  package var connections: @Sendable (_ change: Int) -> Void
  package var misused: @Sendable (_ how: HTTPMisuse) -> Void

  package init(
    answered: @escaping @Sendable (Answered) -> Void = { _ in },
    connections: @escaping @Sendable (Int) -> Void = { _ in },
    misused: @escaping @Sendable (HTTPMisuse) -> Void = { _ in }
  ) {
    self.answered = answered
    self.connections = connections
    self.misused = misused
  }
}

/// A request that was answered.
package struct Answered: Sendable {
  package let status: Int
  /// nil where the head could not be read.
  package let head: RequestHead?
  /// Of the answer's body, in bytes; 0 for one that is still coming to be.
  package let bodyBytes: Int
  /// From the end of the head to the answer.
  package let took: Duration
}

/// Why the server cut a request or a connection short; the raw value is a metric's label.
package enum HTTPMisuse: String, Sendable, CaseIterable {
  case slowHead = "slow_head"
  case slowBody = "slow_body"
  case slowReader = "slow_reader"
  /// A trusted proxy that did not say whose connection it passes on.
  case proxyHeader = "proxy_header"
  /// A TLS handshake that failed.
  case handshake
  // Floods of HTTP/2 frames.
  case rapidReset = "rapid_reset"
  case continuations
  case settings
  case pings
  case windowUpdates = "window_updates"
  case priorities
  case emptyFrames = "empty_frames"
  /// What is no HTTP/2, answered with the code that RFC 9113 names.
  case protocolError = "protocol_error"
}
