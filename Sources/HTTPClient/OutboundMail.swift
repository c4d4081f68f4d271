/// A message for a mail server.
package struct OutboundMail: Sendable {
  package enum Encryption: String, Sendable, CaseIterable {
    /// Plain text until the server agrees to TLS; a server that does not is not spoken to.
    case startTLS = "starttls"
    case tls
    case none
  }

  package var host: String
  package var port: Int
  package var encryption: Encryption
  /// nil: the server is not told who sends.
  package var credentials: (username: String, password: String)?
  /// The envelope's addresses, without angle brackets.
  package var sender: String
  package var recipients: [String]
  /// Head and body, every line with CR LF at its end. Lines that begin with a dot are doubled on
  /// the way by the client.
  package var message: [UInt8]
  package var rule: AddressRule
  /// PEM certificates in place of the system's authorities; empty: the system's.
  package var authorities: [UInt8]
  package var timeout: Duration

  package init(
    host: String,
    port: Int,
    encryption: Encryption,
    credentials: (username: String, password: String)? = nil,
    sender: String,
    recipients: [String],
    message: [UInt8],
    authorities: [UInt8] = [],
    timeout: Duration = .seconds(60)
  ) {
    self.host = host
    self.port = port
    self.encryption = encryption
    self.credentials = credentials
    self.sender = sender
    self.recipients = recipients
    self.message = message
    rule = .trusted
    self.authorities = authorities
    self.timeout = timeout
  }

  var url: String { "\(encryption == .tls ? "smtps" : "smtp")://\(host):\(port)" }
}

/// What a mail server said last.
package struct MailReply: Sendable, Equatable {
  /// The code of the reply (RFC 5321 section 4.2); 0: there was none.
  package let code: Int
  /// Its text, cut at 500 bytes.
  package let text: String
}

/// Why a message is not known to have been taken.
package struct MailError: Error, Equatable {
  package let cause: OutboundError
  /// The server's last reply; nil where the connection failed before any.
  package let reply: MailReply?

  package init(cause: OutboundError, reply: MailReply? = nil) {
    self.cause = cause
    self.reply = reply
  }
}
