import Posix
import Synchronization
import Testing

@testable import HTTP

/// Who a client is: behind proxies that are trusted, and never by the word of anybody else.
@Suite struct ClientTests {
  private func rules(_ proxies: [String]) throws -> ClientRules {
    var rules = ClientRules()
    rules.trustedProxies = try proxies.map { try #require(NetworkRange($0)) }
    return rules
  }

  @Test(
    "X-Forwarded-For is taken from the right, as far as the proxies are trusted",
    arguments: [
      (["1.2.3.4"], "1.2.3.4"),
      (["1.2.3.4, 10.0.0.7"], "1.2.3.4"),
      (["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
      (["6.6.6.6", "1.2.3.4, 10.0.0.7"], "1.2.3.4"),
      (["1.2.3.4:4711"], "1.2.3.4"),
      (["[2001:db8::1]:4711"], "2001:db8:0:0:0:0:0:1"),
      (["2001:db8::1"], "2001:db8:0:0:0:0:0:1"),
      (["unknown"], "10.0.0.1"),
      (["1.2.3.4, unknown, 10.0.0.7"], "10.0.0.7"),
      (["1.2.3.4, 010.0.0.7"], "10.0.0.1"),
      ([""], "10.0.0.1"),
      ([], "10.0.0.1"),
      (["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
    ]
  )
  func forwarded(_ values: [String], _ wanted: String) throws {
    let rules = try rules(["10.0.0.0/8"])
    let headers = Headers(values.map { .init("x-forwarded-for", $0) })
    let client = rules.client(NetworkAddress("10.0.0.1"), headers)
    #expect(client?.description == wanted)
    let stranger = rules.client(NetworkAddress("192.0.2.1"), headers)
    #expect(stranger?.description == "192.0.2.1")
  }

  private static let signature: [UInt8] = [
    0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
  ]

  private static func binary(_ command: UInt8, _ family: UInt8, _ rest: [UInt8]) -> [UInt8] {
    signature + [command, family, UInt8(rest.count >> 8), UInt8(rest.count & 255)] + rest
  }

  private static let v4: [UInt8] = [1, 2, 3, 4, 10, 0, 0, 1, 0x12, 0x67, 0, 80]
  private static let v6: [UInt8] =
    [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1]
    + [UInt8](repeating: 0, count: 16) + [0x12, 0x67, 0, 80]

  private static let readable: [(header: [UInt8], client: String?)] = [
    (Array("PROXY TCP4 1.2.3.4 10.0.0.1 4711 80\r\n".utf8), "1.2.3.4"),
    (Array("PROXY TCP6 2001:db8::1 ::1 4711 80\r\n".utf8), "2001:db8:0:0:0:0:0:1"),
    (Array("PROXY UNKNOWN\r\n".utf8), nil),
    (Array("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".utf8), nil),
    (binary(0x21, 0x11, v4), "1.2.3.4"),
    (binary(0x21, 0x11, v4 + [4, 0, 1, 0]), "1.2.3.4"),
    (binary(0x21, 0x21, v6), "2001:db8:0:0:0:0:0:1"),
    (binary(0x20, 0x00, []), nil),
    (binary(0x21, 0x31, [UInt8](repeating: 0x61, count: 216)), nil),
  ]

  @Test("a header of the PROXY protocol is read whole and in pieces", arguments: readable)
  func proxyHeader(_ header: [UInt8], _ client: String?) {
    let wanted = ProxyHeader.read(
      client: client.flatMap { NetworkAddress($0) },
      length: header.count
    )
    #expect(ProxyHeader(header) == wanted)
    #expect(ProxyHeader(header + Array("GET / HTTP/1.1\r\n".utf8)) == wanted)
    for length in 0..<header.count { #expect(ProxyHeader(Array(header[..<length])) == .unfinished) }
  }

  @Test(
    "what is no header of the PROXY protocol is none",
    arguments: [
      Array("GET / HTTP/1.1\r\n\r\n".utf8),
      Array("PROXY TCP4 1.2.3.4 10.0.0.1 4711\r\n".utf8),
      Array("PROXY TCP4 1.2.3.4 10.0.0.1 4711 65536\r\n".utf8),
      Array("PROXY TCP4 2001:db8::1 ::1 4711 80\r\n".utf8),
      Array("PROXY TCP5 1.2.3.4 10.0.0.1 4711 80\r\n".utf8),
      Array("PROXY TCP4 1.2.3.4 10.0.0.1 4711 80\n".utf8),
      Array("PROXY TCP4 ".utf8) + [UInt8](repeating: 0x31, count: 100),
      binary(0x11, 0x11, v4),
      binary(0x21, 0x11, Array(v4.dropLast())),
      binary(0x21, 0x21, v4),
      signature + [0x21, 0x11, 0xff, 0xff],
    ]
  )
  func noHeader(_ bytes: [UInt8]) { #expect(ProxyHeader(bytes) == .bad) }

  @Test("a connection is served behind its header, in pieces too, and closed without one")
  func connection() async throws {
    var limits = HTTPLimits()
    limits.clients = try rules(["127.0.0.1"])
    limits.clients.usesProxyProtocol = true
    try await withServer(limits) { port, _, misuses in
      let request = "GET /who HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"
      for header in [Self.readable[0].header, Self.binary(0x21, 0x11, Self.v4)] {
        let whole = try TestClient(port)
        whole.send(header + Array(request.utf8))
        // Who came through it is no trusted proxy, and so what it says is not believed.
        #expect(whole.receive(until: "1.2.3.4").hasSuffix("\r\n\r\n1.2.3.4"))
        let pieces = try TestClient(port)
        for byte in header { pieces.send([byte]) }
        pieces.send(request)
        #expect(pieces.receive(until: "1.2.3.4").hasSuffix("\r\n\r\n1.2.3.4"))
      }
      let local = try TestClient(port)
      local.send(Self.binary(0x20, 0x00, []) + Array(request.utf8))
      #expect(local.receive(until: "9.9.9.9").hasSuffix("\r\n\r\n9.9.9.9"))
      let without = try TestClient(port)
      without.send(request)
      #expect(without.receiveToEnd() == "")
      #expect(misuses.withLock { $0 } == [.proxyHeader])
    }
  }

  @Test("an address that asks for more than its share is told when to come again")
  func rate() throws {
    let rate = ClientRate(perSecond: 10, burst: 3)
    let (one, other) = (NetworkAddress(v4: 1), NetworkAddress(v4: 2))
    let start = MonotonicTime(nanoseconds: 0)
    for _ in 0..<3 { #expect(rate.excess(of: one, at: start) == nil) }
    #expect(rate.excess(of: one, at: start) == .milliseconds(100))
    #expect(rate.excess(of: other, at: start) == nil)
    #expect(rate.excess(of: one, at: start + .milliseconds(99)) == .milliseconds(1))
    #expect(rate.excess(of: one, at: start + .milliseconds(100)) == nil)
    #expect(rate.excess(of: one, at: start + .milliseconds(100)) != nil)
    let v6 = try ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3", "2001:db8:0:1::1"].map {
      try #require(NetworkAddress($0))
    }
    for address in v6[..<3] { #expect(rate.excess(of: address, at: start) == nil) }
    #expect(rate.excess(of: v6[0], at: start) != nil)
    #expect(rate.excess(of: v6[3], at: start) == nil)
  }

  @Test("with more addresses than are watched new ones are let in, until old ones owe nothing")
  func manyAddresses() {
    let rate = ClientRate(perSecond: 1, burst: 1, addressesMax: 2)
    let (one, other, third) = (NetworkAddress(v4: 1), NetworkAddress(v4: 2), NetworkAddress(v4: 3))
    let start = MonotonicTime(nanoseconds: 0)
    for address in [one, other] { #expect(rate.excess(of: address, at: start) == nil) }
    for _ in 0..<3 { #expect(rate.excess(of: third, at: start) == nil) }
    #expect(rate.excess(of: one, at: start) != nil)
    let later = start + .seconds(1)
    #expect(rate.excess(of: third, at: later) == nil)
    #expect(rate.excess(of: third, at: later) != nil)
  }

  @Test("too many requests from one address are answered 429 with Retry-After")
  func tooMany() async throws {
    var limits = HTTPLimits()
    limits.clients.rate = ClientRate(perSecond: 1, burst: 2)
    try await withServer(limits) { port, _, _ in
      let client = try TestClient(port)
      for _ in 0..<2 {
        client.send("GET /now HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(client.receive(until: "now\n").hasPrefix("HTTP/1.1 200"))
      }
      client.send("GET /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      let refused = client.receiveToEnd()
      #expect(refused.hasPrefix("HTTP/1.1 429 ") && refused.contains("\r\nRetry-After: 1\r\n"))
    }
  }
}
