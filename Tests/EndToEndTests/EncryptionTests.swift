import Foundation
import Posix
import TestKit
import Testing

/// The real binary over TLS and HTTP/2, with curl as the client.
@Suite(.enabled(if: curlSpeaksHTTP2()))
struct EncryptionTests {
  private struct Answer: Equatable {
    var version = ""
    var status = ""
  }

  /// Posts `{}`; empty where there was no answer.
  private func post(_ url: String, _ options: [String]) throws -> Answer {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      [
        "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_version} %{http_code}",
        "--data-binary", "{}", "--header", "Content-Type: application/json", "--max-time", "20",
      ] + options + [url]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let words = String(
      decoding: output.fileHandleForReading.readDataToEndOfFile(),
      as: UTF8.self
    ).split(separator: " ")
    process.waitUntilExit()
    guard process.terminationStatus == 0, words.count == 2 else { return Answer() }
    return Answer(version: String(words[0]), status: String(words[1]))
  }

  private func source(_ port: Int, _ entries: String) -> String {
    """
    apiVersion: argoproj.io/v1alpha1
    kind: EventSource
    metadata: {name: hooks}
    spec:
      webhook:
    \(entries.replacing("PORT", with: "\"\(port)\""))
    """
  }

  private func secret(_ folder: String, _ name: String, _ certificate: String, _ key: String) throws
  {
    try write(certificate, folder + "/secrets/\(name)/cert")
    try write(key, folder + "/secrets/\(name)/key")
  }

  private let one = """
        a: {endpoint: /a, port: PORT, method: POST, serverCertSecret: {name: one, key: cert},
            serverKeySecret: {name: one, key: key}}
    """
  private let two = """
        b: {endpoint: /b, port: PORT, method: POST, serverCertSecret: {name: two, key: cert},
            serverKeySecret: {name: two, key: key}}
    """

  @Test("one port in plain serves HTTP/1.1 and HTTP/2")
  func plain() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(source(port, "    a: {endpoint: /a, port: PORT}"), folder + "/manifests/a.yaml")
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      for (option, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let answer = try post("http://127.0.0.1:\(port)/a", [option])
        #expect(answer == Answer(version: version, status: "202"))
      }
      #expect(program.end() == 0)
    }
  }

  @Test("hosts on one port by name, both versions, new certificates without a dropped request")
  func encrypted() async throws {
    try await withTemporaryFolder { folder in
      let (port, console) = (try freePort(), try freePort())
      try write(source(port, one + "\n" + two), folder + "/manifests/a.yaml")
      try secret(folder, "one", TestCertificates.one, TestCertificates.oneKey)
      try secret(folder, "two", TestCertificates.two, TestCertificates.twoKey)
      try write(TestCertificates.authority, folder + "/ca")
      let program = try Program(folder, ["--console", "127.0.0.1:\(console)"])
      let trust = ["--cacert", folder + "/ca"]
      func to(_ host: String) -> [String] { trust + ["--resolve", "\(host):\(port):127.0.0.1"] }
      for (host, path) in [("one.test", "a"), ("two.test", "b"), ("x.two.test", "b")] {
        for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
          let answer = try post("https://\(host):\(port)/\(path)", to(host) + [option])
          #expect(answer == Answer(version: version, status: "202"), "\(host)")
        }
      }
      let old = try post("https://localhost:\(port)/a", trust + ["--tls-max", "1.2", "--http2"])
      #expect(old == Answer(version: "2", status: "202"))
      #expect(try post("http://localhost:\(port)/a", []) == Answer())
      let question = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
      let metrics = try Socket.exchange(Array(question.utf8), port: console)
      let count = #"signalbox_http_misuse_total{port="\#(port)",how="handshake"} 1"#
      #expect(String(decoding: metrics, as: UTF8.self).contains(count))

      // The body is on its way while the certificate changes.
      let upload = Process()
      upload.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      upload.arguments =
        ["curl", "--silent", "--http1.1", "--output", "/dev/null", "--write-out", "%{http_code}"]
        + ["--request", "POST", "--header", "Content-Type: application/json", "--upload-file", "-"]
        + trust + ["https://localhost:\(port)/a"]
      let (input, output) = (Pipe(), Pipe())
      upload.standardInput = input
      upload.standardOutput = output
      try upload.run()
      input.fileHandleForWriting.write(Data("{\"a\":".utf8))
      #expect(try post("https://new.two.test:\(port)/a", to("new.two.test")).status == "202")
      try secret(folder, "two", TestCertificates.one, TestCertificates.oneKey)
      let deadline = MonotonicTime.now() + .seconds(20)
      while MonotonicTime.now() < deadline,
        try post("https://new.two.test:\(port)/a", to("new.two.test")) != Answer()
      {}
      #expect(MonotonicTime.now() < deadline, "the old certificate is still served")
      input.fileHandleForWriting.write(Data("1}".utf8))
      try input.fileHandleForWriting.close()
      let status = String(
        decoding: output.fileHandleForReading.readDataToEndOfFile(),
        as: UTF8.self
      )
      upload.waitUntilExit()
      #expect(status == "202")

      // A key that does not fit changes nothing and is told.
      try write(TestCertificates.twoKey, folder + "/secrets/one/key")
      while MonotonicTime.now() < deadline, !program.printed.contains("does not belong") {
        #expect(try post("https://localhost:\(port)/a", trust).status == "202")
      }
      #expect(program.printed.contains("spec.webhook.a.serverKeySecret"))
      #expect(program.end() == 0)
    }
  }

  @Test("clients without a certificate of the authority are not listened to")
  func clientCertificates() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      let entry = one.replacing("key: key}}", with: "key: key},")
      let more = "\n        signalbox: {clientCASecret: {name: clients, key: ca}}}"
      try write(source(port, entry + more), folder + "/manifests/a.yaml")
      try secret(folder, "one", TestCertificates.one, TestCertificates.oneKey)
      try write(TestCertificates.authority, folder + "/secrets/clients/ca")
      let files = [
        "client": TestCertificates.client, "clientKey": TestCertificates.clientKey,
        "stranger": TestCertificates.stranger, "strangerKey": TestCertificates.strangerKey,
      ]
      for (name, text) in files { try write(text, folder + "/" + name) }
      let program = try Program(folder, ["--console", "127.0.0.1:0"])
      let url = "https://localhost:\(port)/a"
      let trust = ["--cacert", folder + "/secrets/clients/ca"]
      func shown(_ name: String) -> [String] {
        trust + ["--cert", folder + "/\(name)", "--key", folder + "/\(name)Key"]
      }
      #expect(try post(url, shown("client")) == Answer(version: "2", status: "202"))
      #expect(try post(url, shown("stranger")) == Answer())
      #expect(try post(url, trust) == Answer())
      #expect(program.end() == 0)
    }
  }
}

/// What is said of certificates at load.
@Suite struct CertificateManifestTests {
  private static let pair =
    "serverCertSecret: {name: s, key: one}, serverKeySecret: {name: s, key: oneKey}"
  private static let cases: [(String, String, [String])] = [
    (
      "a: {endpoint: /a, port: \"9\", serverCertSecret: {name: s, key: one}}", "",
      ["a.yaml:6:", "a.serverCertSecret: needs serverKeySecret"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", serverCertSecret: {name: s, key: one}, "
        + "serverKeySecret: {name: s, key: twoKey}}", "",
      ["a.yaml:6:", "a.serverKeySecret: the key does not belong to the certificate"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", serverCertSecret: {name: s, key: oneKey}, "
        + "serverKeySecret: {name: s, key: oneKey}}", "",
      ["a.yaml:6:", "a.serverCertSecret: there is no certificate"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", serverCertSecret: {name: s, key: none}, "
        + "serverKeySecret: {name: s, key: oneKey}}", "", ["a.serverCertSecret", "s/none"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", \(pair)}", "b: {endpoint: /b, port: \"9\"}",
      ["a.yaml:6:", "served without TLS for /b"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", \(pair)}",
      "b: {endpoint: /b, port: \"9\", \(pair), signalbox: {clientCASecret: {name: s, key: one}}}",
      ["a.yaml:7:", "b.signalbox.clientCASecret: clientCASecret differs"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", signalbox: {clientCASecret: {name: s, key: one}}}", "",
      ["a.signalbox.clientCASecret: needs serverCertSecret and serverKeySecret"]
    ),
    (
      "a: {endpoint: /a, port: \"9\", \(pair), signalbox: {clientCASecret: {name: s, key: oneKey}}}",
      "", ["a.signalbox.clientCASecret: there is no certificate"]
    ),
  ]

  @Test("certificates that cannot serve are errors with their place", arguments: cases)
  func refused(first: String, second: String, wanted: [String]) async throws {
    try await withTemporaryFolder { folder in
      let lines = [
        "apiVersion: argoproj.io/v1alpha1", "kind: EventSource", "metadata: {name: hooks}", "spec:",
        "  webhook:", "    " + first, second.isEmpty ? "" : "    " + second,
      ]
      try write(lines.joined(separator: "\n"), folder + "/a.yaml")
      let files = [
        "one": TestCertificates.one, "oneKey": TestCertificates.oneKey,
        "twoKey": TestCertificates.twoKey,
      ]
      for (name, text) in files { try write(text, folder + "/secrets/s/" + name) }
      let answer = try signalbox(["validate", folder + "/a.yaml", "--secrets", folder + "/secrets"])
      #expect(answer.status == 1)
      for text in wanted { #expect(answer.output.contains(text), "\(answer.output)") }
      #expect(!answer.output.contains("PRIVATE"))
    }
  }
}

private func curlSpeaksHTTP2() -> Bool {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["curl", "--version"]
  let output = Pipe()
  process.standardOutput = output
  process.standardError = output
  guard (try? process.run()) != nil else { return false }
  let bytes = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  let speaks = String(decoding: bytes, as: UTF8.self).contains("HTTP2")
  if !speaks { print("EncryptionTests: curl is missing or lacks HTTP/2; skipped") }
  return speaks
}
