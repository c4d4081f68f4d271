import Event
import Foundation
import HTTPClient
import JSON
import Plugin
import Posix
import TestKit
import Testing
import Triggers

/// A mail server nobody here wrote (`deploy/install-test-tools`), until it is let go.
private final class MailServer {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  private static let python =
    (ProcessInfo.processInfo.environment["SIGNALBOX_TEST_TOOLS"] ?? root + "/.build/test-tools")
    + "/bin/python"

  static var isThere: Bool { FileManager.default.isExecutableFile(atPath: python) }

  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var rest = Data()
  private(set) var port = 0

  init(_ mode: String, _ folder: String) throws {
    let files = mode == "plain" ? [] : [folder + "/one.pem", folder + "/one.key"]
    if !files.isEmpty {
      try Data(TestCertificates.one.utf8).write(to: URL(fileURLWithPath: files[0]))
      try Data(TestCertificates.oneKey.utf8).write(to: URL(fileURLWithPath: files[1]))
    }
    process.executableURL = URL(fileURLWithPath: Self.python)
    process.arguments = [Self.root + "/Tests/Foreign/smtp.py", mode] + files
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    let words = try line().split(separator: " ")
    port = words.last.flatMap { Int($0) } ?? 0
  }

  /// The next line that it prints.
  func line() throws -> String {
    while true {
      if let end = rest.firstIndex(of: 0x0a) {
        defer { rest = Data(rest[rest.index(after: end)...]) }
        return String(decoding: rest[..<end], as: UTF8.self)
      }
      let more = output.fileHandleForReading.availableData
      if more.isEmpty { throw SystemError("read", "the mail server ended", code: EPIPE) }
      rest += more
    }
  }

  func message() throws -> JSON { try JSON(parsing: Array(try line().utf8)) }

  func end() {
    input.fileHandleForWriting.closeFile()
    process.waitUntilExit()
  }
}

@Suite(.enabled(if: MailServer.isThere, "deploy/install-test-tools installs a mail server"))
struct EmailTests {
  private func serving(
    _ mode: String,
    password: String = "s3cret",
    _ body: (MailServer, Host) async throws -> Void
  ) async throws {
    try await withTemporaryFolder { folder in
      let server = try MailServer(mode, folder)
      let host = try Host(
        "/nowhere",
        secrets: ["smtp/password": password, "smtp/ca": TestCertificates.authority]
      )
      do { try await body(server, host) } catch { Issue.record(error) }
      await host.close()
      server.end()
    }
  }

  private func fields(_ port: Int, _ own: String, _ more: String) -> String {
    """
    {"host": "127.0.0.1", "port": \(port), "username": "robot",
     "smtpPassword": {"name": "smtp", "key": "password"},
     "signalbox": {"caCertSecret": {"name": "smtp", "key": "ca"}\(own)}, \(more)}
    """
  }

  private let letter = """
    "from": "Bus <bus@example.org>", "to": ["ada@example.org", "bob@example.org"],
    "subject": "Built", "body": "All is well.\\n.\\n.two dots\\n"
    """

  @Test(
    "a message reaches all its addresses over TLS, by its user",
    arguments: ["starttls", "tls"]
  )
  func sends(mode: String) async throws {
    try await serving(mode) { server, host in
      let own = ", \"encryption\": \"\(mode)\""
      let (trigger, problems) = try made("email", fields(server.port, own, letter), host)
      #expect(problems == [])
      let outcome = await trigger?.fire(firing())
      #expect(outcome == .done(result: ["code": 250, "reply": "250 2.0.0 taken as 4711"]))
      let message = try server.message()
      #expect(message["from"] == "bus@example.org")
      #expect(message["to"] == ["ada@example.org", "bob@example.org"])
      #expect(message["tls"] == true || mode == "tls")
      #expect(message["authenticated"] == true)
      let text = message["message"]?.asString ?? ""
      #expect(text.contains("Subject: Built\r\n"))
      #expect(text.contains("Message-ID: <\(firing().id.text)@example.org>\r\n"))
      #expect(text.hasSuffix("\r\n\r\nAll is well.\r\n.\r\n.two dots\r\n\r\n"))
    }
  }

  @Test("parameters over the fields work, and cannot write lines of the head")
  func parameters() async throws {
    try await serving("starttls") { server, host in
      let changed = """
        "from": "bus@example.org", "to": ["eve@example.org"],
        "subject": "Grüße\\r\\nBcc: all@example.org", "body": "für dich"
        """
      let (trigger, problems) = try made(
        "email",
        fields(server.port, "", changed),
        from: fields(server.port, "", letter),
        host
      )
      #expect(problems == [])
      #expect(await trigger?.fire(firing()).why == "")
      let message = try server.message()
      #expect(message["to"] == ["eve@example.org"])
      let text = message["message"]?.asString ?? ""
      #expect(!text.contains("\r\nBcc:"))
      #expect(text.contains("Subject: =?utf-8?B?"))
      #expect(text.contains("Content-Transfer-Encoding: base64\r\n\r\nZsO8ciBkaWNo\r\n"))
    }
    for destination in ["host", "port", "username", "smtpPassword.name", "signalbox.encryption"] {
      #expect(triggerKinds.first { $0.kind == "email" }?.refusal(destination) != nil)
    }
    for destination in ["to.0", "to.-1", "from", "subject", "body"] {
      #expect(triggerKinds.first { $0.kind == "email" }?.refusal(destination) == nil)
    }
  }

  @Test("an event does not choose the server")
  func server() throws {
    let host = try Host("/nowhere", secrets: ["smtp/password": "x", "smtp/ca": "x"])
    let (_, problems) = try made(
      "email",
      fields(2, "", letter),
      from: fields(1, "", letter),
      host
    )
    #expect(problems == ["email: an event must not choose the mail server"])
  }

  @Test("what the server says decides whether it is tried again")
  func refusals() async throws {
    try await serving("starttls") { server, host in
      for (address, isFinal) in [("nobody@example.org", true), ("later@example.org", false)] {
        let more = """
          "from": "bus@example.org", "to": ["ada@example.org", "\(address)"], "subject": "s",
          "body": "b"
          """
        let (trigger, _) = try made("email", fields(server.port, "", more), host)
        let outcome = await trigger?.fire(firing())
        switch outcome {
        case .reject(let why, _)?:
          #expect(isFinal)
          #expect(why.contains("550 5.1.1 no such mailbox"))
        case .retry(_, let why, _)?:
          #expect(!isFinal)
          #expect(why.contains("451 4.3.0 try again later"))
        default: Issue.record("\(String(describing: outcome))")
        }
      }
      // Nothing was taken for those who could have had it: the next message is the first.
      let (trigger, _) = try made("email", fields(server.port, "", letter), host)
      _ = await trigger?.fire(firing())
      #expect(try server.message()["to"] == ["ada@example.org", "bob@example.org"])
    }
  }

  @Test("a wrong password is refused for good and shown nowhere")
  func password() async throws {
    try await serving("starttls", password: "hunter2") { server, host in
      let (trigger, _) = try made("email", fields(server.port, "", letter), host)
      let outcome = await trigger?.fire(firing())
      guard case .reject(let why, let result)? = outcome else {
        Issue.record("\(String(describing: outcome))")
        return
      }
      #expect(why.contains("535"))
      #expect(!"\(why) \(result)".contains("hunter2"))
    }
  }

  @Test("nothing is said to a server that does not go over to TLS, or is somebody else")
  func encryption() async throws {
    try await serving("plain") { server, host in
      let (trigger, _) = try made("email", fields(server.port, "", letter), host)
      guard case .retry? = await trigger?.fire(firing()) else {
        Issue.record("it was not refused")
        return
      }
      let bare = """
        {"host": "127.0.0.1", "port": \(server.port), "signalbox": {"encryption": "none"}, \(letter)}
        """
      let (open, problems) = try made("email", bare, host)
      #expect(problems == [])
      #expect(await open?.fire(firing()).why == "")
      #expect(try server.message()["tls"] == false)
    }
    try await serving("starttls") { server, host in
      let strange = """
        {"host": "127.0.0.1", "port": \(server.port), "username": "robot",
         "smtpPassword": {"name": "smtp", "key": "password"}, \(letter)}
        """
      let (trigger, _) = try made("email", strange, host)
      guard case .retry? = await trigger?.fire(firing()) else {
        Issue.record("a certificate of an unknown authority was taken")
        return
      }
    }
  }

  @Test(
    "what cannot be sent is refused before anybody is called",
    arguments: [
      (#""to": [], "subject": "s", "body": "b""#, "to can't be empty"),
      (#""to": ["a@b.example"], "body": "b""#, "subject can't be empty"),
      (#""to": ["a@b.example"], "subject": "s""#, "body can't be empty"),
      (
        #""to": ["a@b.example\r\nRCPT TO:<x@y.example>"], "subject": "s", "body": "b""#,
        "to: 'a@b.example\r\nRCPT TO:<x@y.example>' is no address"
      ),
    ]
  )
  func nothing(more: String, why: String) async throws {
    let host = try Host("/nowhere", secrets: ["smtp/password": "x", "smtp/ca": "x"])
    let (trigger, _) = try made("email", fields(1, "", #""from": "a@b.example", "# + more), host)
    #expect(await trigger?.fire(firing()).why == why)
    await host.close()
  }
}
