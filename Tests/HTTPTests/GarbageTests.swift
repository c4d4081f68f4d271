import Foundation
import TestKit
import Testing

@testable import HTTP

/// Bytes from outside never trap, whatever they are.
@Suite struct GarbageTests {
  private func mutated(_ bytes: [UInt8], _ random: inout Seeded) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
      let place = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
      default: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &random)
      }
    }
    return bytes
  }

  @Test("a parser fed with broken requests refuses or waits, and says the same for any cut")
  func requests() {
    let good = Array(
      ("POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\n"
        + "T: v\r\n\r\nGET http://h/p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxy").utf8
    )
    var random = Seeded(1)
    for _ in 0..<3000 {
      let bytes = mutated(good, &random)
      #expect(digest(bytes, pieces: bytes.count) == digest(bytes, pieces: 1), "\(bytes)")
    }
  }

  /// Everything the parser says, bodies joined.
  private func digest(_ bytes: [UInt8], pieces: Int) -> String {
    var parser = H1Parser(headBytes: 32 << 10, headerCount: 100)
    var out = ""
    var input: [UInt8] = []
    var at = 0
    for start in stride(from: 0, to: bytes.count, by: max(1, bytes.count / pieces)) {
      input += bytes[start..<min(bytes.count, start + max(1, bytes.count / pieces))]
      while let action = parser.next(input, &at) {
        switch action {
        case .head(let head): out += "\n\(head)\n"
        case .body(let range):
          out += "\(input[range].map { Int($0) })".dropFirst().dropLast() + ", "
        case .end: out += "\nend"
        case .refuse(let status, _): return out + "\nrefused \(status)"
        }
      }
    }
    return out
  }

  @Test("connections with broken frames end; the server goes on")
  func frames() async throws {
    var limits = HTTPLimits()
    limits.idleTime = .milliseconds(100)
    limits.headTime = .milliseconds(100)
    limits.bodyTime = .milliseconds(100)
    limits.lingerTime = .milliseconds(50)
    try await withServer(limits) { port, _, _ in
      let model = try H2TestClient(port)
      let good =
        model.bytes(model.post(1, "/up", [("content-length", "3")]))
        + model.bytes(model.data(1, [1, 2], ends: false)) + model.bytes(model.data(1, [3]))
        + model.bytes(model.get(3, "/now")) + model.bytes(model.window(0, 10))
        + model.bytes(model.reset(3))
        + model.bytes(.init(type: 6, payload: [UInt8](repeating: 0, count: 8)))
      var random = Seeded(2)
      for _ in 0..<300 {
        let client = try TestClient(port)
        client.send(
          H2TestClient.preface + model.bytes(H2TestClient.settings) + mutated(good, &random)
        )
      }
      let last = try H2TestClient(port)
      last.send(last.get(1, "/now"))
      #expect(last.answer(1).status == 200)
    }
  }
}
