import COpenSSL
import TLS
import TestKit
import Testing

@Suite struct TLSSessionTests {
  private func identity(_ certificates: String, _ key: String) throws -> TLSIdentity {
    try TLSIdentity(certificates: Array(certificates.utf8), key: Array(key.utf8))
  }

  private var one: TLSIdentity {
    get throws { try identity(TestCertificates.one, TestCertificates.oneKey) }
  }
  private var two: TLSIdentity {
    get throws { try identity(TestCertificates.two, TestCertificates.twoKey) }
  }

  /// Carries bytes until both are silent; what the server read in plain and its state.
  @discardableResult
  private func exchange(
    _ client: TestTLSClient,
    _ server: TLSSession,
    piece: Int = 1 << 20
  ) -> (server: [UInt8], client: [UInt8]?, progress: TLSSession.Progress) {
    var read: [UInt8] = []
    var seen: [UInt8]? = []
    var progress = TLSSession.Progress.handshaking
    while true {
      let up = client.takeOutput()
      for start in stride(from: 0, to: up.count, by: piece) {
        server.incoming += up[start..<min(up.count, start + piece)]
        progress = server.receive(into: &read)
      }
      let down = server.takeOutput()
      if up.isEmpty && down.isEmpty { return (read, seen, progress) }
      if let more = client.receive(down) { seen? += more } else { seen = nil }
    }
  }

  @Test("bytes pass both ways, however the ciphertext is cut", arguments: [1, 7, 1 << 20])
  func passage(piece: Int) throws {
    let context = try TLSServerContext([one], protocols: ["h2", "http/1.1"])
    let server = try #require(TLSSession(context))
    let client = TestTLSClient(trusting: TestCertificates.authority)
    client.begin(host: "one.test", protocols: ["http/1.1", "h2"])
    #expect(exchange(client, server, piece: piece).progress == .open)
    #expect(client.isOpen && client.applicationProtocol == "h2")
    #expect(server.applicationProtocol == "h2")
    client.send(String(repeating: "up", count: 20_000))
    #expect(server.send(Array("down".utf8)))
    let passed = exchange(client, server, piece: piece)
    #expect(passed.server.count == 40_000 && passed.client == Array("down".utf8))
  }

  @Test("a client that has finished sending is still answered, and told of the end")
  func halfClose() throws {
    let context = try TLSServerContext([one], protocols: ["http/1.1"])
    let server = try #require(TLSSession(context))
    let client = TestTLSClient(trusting: TestCertificates.authority)
    client.begin(host: "one.test")
    exchange(client, server)
    client.send("last")
    client.finishSending()
    let passed = exchange(client, server)
    #expect(passed.server == Array("last".utf8) && passed.progress == .finished)
    #expect(server.send(Array("answer".utf8)))
    #expect(client.receive(server.takeOutput()) == Array("answer".utf8))
    server.finishSending()
    #expect(client.receive(server.takeOutput()) == nil)
  }

  @Test("a client gets the certificate for the host it names, the first one for any other")
  func serverNames() throws {
    let context = try TLSServerContext([one, two], protocols: ["http/1.1"])
    for host in ["one.test", "localhost", "two.test", "a.two.test"] {
      let server = try #require(TLSSession(context))
      let client = TestTLSClient(trusting: TestCertificates.authority)
      client.begin(host: host)
      exchange(client, server)
      #expect(client.isOpen, "\(host)")
    }
    let server = try #require(TLSSession(context))
    let client = TestTLSClient(trusting: TestCertificates.authority)
    client.begin(host: "a.b.two.test")
    exchange(client, server)
    #expect(!client.isOpen)
  }

  @Test("a client comes back with a ticket", arguments: [TLS1_2_VERSION, TLS1_3_VERSION])
  func resumption(version: Int32) throws {
    let context = try TLSServerContext([one, two], protocols: ["http/1.1"])
    let client = TestTLSClient(trusting: TestCertificates.authority, newest: version)
    for isSecond in [false, true] {
      let server = try #require(TLSSession(context))
      client.begin(host: "two.test")
      exchange(client, server)
      #expect(client.isOpen && client.isResumed == isSecond && server.isResumed == isSecond)
    }
    let other = try TLSServerContext([one, two], protocols: ["http/1.1"])
    let server = try #require(TLSSession(other))
    client.begin(host: "two.test")
    exchange(client, server)
    #expect(client.isOpen && !client.isResumed)
  }

  @Test("TLS 1.1 is refused; a session is not negotiated again")
  func versions() throws {
    let context = try TLSServerContext([one], protocols: ["http/1.1"])
    let old = TestTLSClient(trusting: TestCertificates.authority, newest: TLS1_1_VERSION)
    let refused = try #require(TLSSession(context))
    old.begin(host: "one.test")
    exchange(old, refused)
    #expect(!old.isOpen)
    let client = TestTLSClient(trusting: TestCertificates.authority, newest: TLS1_2_VERSION)
    let server = try #require(TLSSession(context))
    client.begin(host: "one.test")
    exchange(client, server)
    #expect(client.isOpen)
    _ = client.renegotiate()
    let passed = exchange(client, server)
    #expect(passed.client == nil)
  }

  @Test("a client without a protocol of ours is refused; one that names none is served")
  func protocols() throws {
    let context = try TLSServerContext([one], protocols: ["h2", "http/1.1"])
    let client = TestTLSClient(trusting: TestCertificates.authority)
    let refused = try #require(TLSSession(context))
    client.begin(host: "one.test", protocols: ["spdy/1"])
    if case .failed = exchange(client, refused).progress {} else { Issue.record("not refused") }
    let server = try #require(TLSSession(context))
    client.begin(host: "one.test")
    #expect(exchange(client, server).progress == .open)
    #expect(server.applicationProtocol == nil)
  }

  @Test(
    "clients need a certificate of the authority that is asked for",
    arguments: [
      (TestCertificates.client, TestCertificates.clientKey, true),
      (TestCertificates.stranger, TestCertificates.strangerKey, false), ("", "", false),
    ]
  )
  func clientCertificates(certificate: String, key: String, isServed: Bool) throws {
    let context = try TLSServerContext(
      [one, two],
      clientAuthorities: Array(TestCertificates.authority.utf8),
      protocols: ["http/1.1"]
    )
    for host in ["one.test", "two.test"] {
      let server = try #require(TLSSession(context))
      let client = TestTLSClient(
        trusting: TestCertificates.authority,
        certificate: certificate.isEmpty ? nil : certificate,
        key: key
      )
      client.begin(host: host)
      let passed = exchange(client, server)
      #expect((passed.progress == .open) == isServed)
      #expect((passed.client != nil) == isServed)
    }
  }

  @Test("what is no TLS fails with an alert and costs no trap")
  func garbage() throws {
    let context = try TLSServerContext([one], protocols: ["http/1.1"])
    for bytes in [Array("GET / HTTP/1.1\r\n\r\n".utf8), [22, 3, 1, 255, 255, 1], [128, 46, 1]] {
      let server = try #require(TLSSession(context))
      var plain: [UInt8] = []
      server.incoming = bytes + [UInt8](repeating: 0, count: 20_000)
      if case .failed = server.receive(into: &plain) {} else { Issue.record("not refused") }
      #expect(plain.isEmpty && !server.send([1]))
    }
  }

  @Test("keys and certificates that do not fit are told apart")
  func mismatches() throws {
    let one = TestCertificates.one
    let oneKey = TestCertificates.oneKey
    func problem(_ certificates: String, _ key: String) -> TLSError? {
      do throws(TLSError) {
        _ = try TLSIdentity(certificates: Array(certificates.utf8), key: Array(key.utf8))
        return nil
      } catch { return error }
    }
    #expect(
      problem(one, oneKey) == nil && problem(one + "\n" + TestCertificates.authority, oneKey) == nil
    )
    #expect(
      problem(one, TestCertificates.twoKey) == .key("the key does not belong to the certificate")
    )
    if case .certificate? = problem("", oneKey) {} else { Issue.record("no certificate") }
    if case .certificate? = problem(oneKey, oneKey) {} else { Issue.record("no certificate") }
    if case .key? = problem(one, one) {} else { Issue.record("no key") }
    #expect(try !self.one.hasExpired && self.one.covers("one.test") && !self.one.covers("two.test"))
  }
}
