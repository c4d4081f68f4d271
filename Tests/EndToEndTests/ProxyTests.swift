import Foundation
import Posix
import TestKit
import Testing

/// The real binary as it stands behind proxies, with curl in the place of one.
@Suite struct ProxyTests {
  private func curl(_ url: String, _ options: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments =
      [
        "curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}",
        "--data-binary", "{}", "--header", "Content-Type: application/json", "--max-time", "20",
      ] + options + [url]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test("clients behind a proxy are known by what it says, over TLS too, and are logged so")
  func clients() async throws {
    try await withTemporaryFolder { folder in
      let (port, secure) = (try freePort(), try freePort())
      try write(
        """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: hooks}
        spec:
          webhook:
            a: {endpoint: /a, port: "\(port)", method: POST}
            b: {endpoint: /b, port: "\(secure)", method: POST,
                serverCertSecret: {name: one, key: cert}, serverKeySecret: {name: one, key: key}}
        """,
        folder + "/manifests/a.yaml"
      )
      try write(TestCertificates.one, folder + "/secrets/one/cert")
      try write(TestCertificates.oneKey, folder + "/secrets/one/key")
      let log = folder + "/access.log"
      let program = try Program(
        folder,
        [
          "--console", "127.0.0.1:0", "--trusted-proxy", "127.0.0.1", "--proxy-protocol",
          "--requests-per-address", "1:3", "--access-log", log,
        ]
      )
      let forwarded = ["--header", "X-Forwarded-For: 6.6.6.6, 192.0.2.7"]
      let proxied = ["--haproxy-protocol"]
      // curl names its own address, a trusted one: what it says of its client is believed.
      let plain = "http://127.0.0.1:\(port)/a?token=hidden"
      for _ in 0..<3 { #expect(try curl(plain, proxied + forwarded) == "202") }
      #expect(try curl(plain, proxied + forwarded) == "429")
      #expect(try curl("https://127.0.0.1:\(secure)/b", proxied) == "202")
      #expect(try curl("http://127.0.0.1:\(port)/a", []) == "000")
      #expect(program.end() == 0)
      let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
      try #require(lines.count == 5)
      #expect(lines[0].contains("\"client\":\"192.0.2.7\",\"port\":\(port),\"method\":\"POST\""))
      #expect(lines[0].contains("\"path\":\"/a\",\"status\":202,"))
      #expect(lines[3].contains("\"client\":\"192.0.2.7\"") && lines[3].contains("\"status\":429,"))
      #expect(lines[4].contains("\"client\":\"127.0.0.1\",\"port\":\(secure),"))
      #expect(!lines.contains { $0.contains("hidden") })
    }
  }

  @Test("an access log that was moved away is made anew on SIGHUP")
  func rotation() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(
        """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: hooks}
        spec: {webhook: {a: {endpoint: /a, port: "\(port)", method: POST}}}
        """,
        folder + "/manifests/a.yaml"
      )
      let log = folder + "/access.log"
      let program = try Program(folder, ["--console", "127.0.0.1:0", "--access-log", log])
      #expect(try curl("http://127.0.0.1:\(port)/a", []) == "202")
      try FileManager.default.moveItem(atPath: log, toPath: log + ".1")
      #expect(try signalbox(["reload", "--data", folder + "/data"]).status == 0)
      while !FileManager.default.fileExists(atPath: log) { await Task.yield() }
      #expect(try curl("http://127.0.0.1:\(port)/a", []) == "202")
      #expect(program.end() == 0)
      for path in [log, log + ".1"] {
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 1)
      }
    }
  }

  @Test("an access log that the disk does not take is said, and holds up nothing")
  func fullDisk() async throws {
    try await withTemporaryFolder { folder in
      let port = try freePort()
      try write(
        """
        apiVersion: argoproj.io/v1alpha1
        kind: EventSource
        metadata: {name: hooks}
        spec: {webhook: {a: {endpoint: /a, port: "\(port)", method: POST}}}
        """,
        folder + "/manifests/a.yaml"
      )
      let program = try Program(folder, ["--console", "127.0.0.1:0", "--access-log", "/dev/full"])
      for _ in 0..<3 { #expect(try curl("http://127.0.0.1:\(port)/a", []) == "202") }
      #expect(program.end() == 0)
      let said = program.printed.components(separatedBy: "the access log cannot be written")
      #expect(said.count == 2)
    }
  }

  @Test(
    "options that say nothing are refused",
    arguments: [
      ["--proxy-protocol"], ["--trusted-proxy", "10.0.0.1/8"], ["--trusted-proxy", "proxy"],
      ["--requests-per-address", "0"], ["--requests-per-address", "1:2:3"],
    ]
  )
  func refusals(_ options: [String]) throws {
    let (status, output) = try signalbox(["run"] + options)
    #expect(status != 0 && output.contains(options[0]))
  }
}
