/// What the server tells those who count. Called on a loop; must not wait.
package struct HTTPObserver: Sendable {
  package var answered: @Sendable (_ status: Int) -> Void
  package var connections: @Sendable (_ change: Int) -> Void
  package var misused: @Sendable (_ how: HTTPMisuse) -> Void

  package init(
    answered: @escaping @Sendable (Int) -> Void = { _ in },
    connections: @escaping @Sendable (Int) -> Void = { _ in },
    misused: @escaping @Sendable (HTTPMisuse) -> Void = { _ in }
  ) {
    self.answered = answered
    self.connections = connections
    self.misused = misused
  }
}

/// Why the server cut a request or a connection short; the raw value is a metric's label.
package enum HTTPMisuse: String, Sendable, CaseIterable {
  case slowHead = "slow_head"
  case slowBody = "slow_body"
  case slowReader = "slow_reader"
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
