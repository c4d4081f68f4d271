import Cluster
import Foundation
import Glibc
import HTTPClient
import JSON
import Posix
import Synchronization
import TestKit
import Testing

/// How a cluster is found and reached: from inside a pod, and through proxies.
@Suite struct AccessTests {
  /// What the kubelet keeps in a pod: `..data` is a link that is swapped.
  private func mount(_ folder: String, _ generation: Int, token: String) throws {
    let kept = "\(folder)/..\(generation)"
    try Files.makeFolder(kept)
    for (name, text) in [
      ("token", token), ("ca.crt", TestCertificates.authority), ("namespace", "ci\n"),
    ] {
      try Files.writeDurably(Array(text.utf8), to: "\(kept)/\(name)")
      let link = "\(folder)/\(name)"
      if generation == 1 {
        try FileManager.default.createSymbolicLink(
          atPath: link,
          withDestinationPath: "..data/\(name)"
        )
      }
    }
    try? FileManager.default.removeItem(atPath: folder + "/..data_tmp")
    try FileManager.default.createSymbolicLink(
      atPath: folder + "/..data_tmp",
      withDestinationPath: "..\(generation)"
    )
    let code = unsafe rename(folder + "/..data_tmp", folder + "/..data")
    #expect(code == 0)
  }

  @Test("A.2: a pod's service account: its authority, its namespace, a token that is swapped")
  func inCluster() async throws {
    try await Bench.run { bench in
      let folder = bench.folder + "/account"
      try Files.makeFolder(folder)
      try mount(folder, 1, token: "one")
      bench.cluster.setTokens(["one"])
      let environment = [
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "\(bench.cluster.tokenPort)",
      ]
      let found = try InCluster.configuration({ environment[$0] }, folder: folder)
      let configuration = try #require(found)
      #expect(configuration.namespace == "ci")
      let client = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      _ = try await client.list(bench.configMaps, namespace: "ci")
      // The old one is refused: the new one is read and the request repeated.
      try mount(folder, 2, token: "two")
      bench.cluster.setTokens(["two"])
      _ = try await client.list(bench.configMaps, namespace: "ci")
      // Its authority alone is trusted.
      try Files.writeDurably(Array(TestCertificates.client.utf8), to: folder + "/..2/ca.crt")
      let other = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      let error = await bench.refusal {
        _ = try await other.list(bench.configMaps, namespace: "ci")
      }
      #expect(error?.kind == .transport(.tls))
      #expect(try InCluster.configuration({ _ in nil }, folder: folder) == nil)
      let bracketed = try InCluster.configuration(
        { $0.hasSuffix("HOST") ? "fd00::1" : "443" },
        folder: folder
      )
      #expect(bracketed?.server == "https://[fd00::1]:443")
    }
  }

  @Test("A.1: requests and watches go through the proxy that the kubeconfig names")
  func proxied() async throws {
    try await Bench.run { bench in
      let proxy = try ConnectProxy()
      let text = bench.cluster.kubeconfig.replacing(
        "server: https://127.0.0.1:\(bench.cluster.tokenPort)",
        with: "server: https://127.0.0.1:\(bench.cluster.tokenPort)\n"
          + "    proxy-url: http://127.0.0.1:\(proxy.port)"
      )
      let path = bench.folder + "/proxied"
      try Files.writeDurably(Array(text.utf8), to: path)
      let configuration = try Kubeconfig(files: [path]).configuration(context: "token")
      let client = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      _ = try await client.list(bench.configMaps, namespace: "ci")
      let watch = ObjectWatch(client, bench.configMaps, namespace: "ci")
      let (seen, tell) = AsyncStream<String>.makeStream()
      let task = Task {
        await watch.run { change in if case .added(let object) = change { tell.yield(object.name) }
        }
      }
      while bench.cluster.watcherCount == 0 { await Task.yield() }
      try bench.cluster.put("configmaps", "ci", ["metadata": ["name": "one"]])
      for await name in seen {
        #expect(name == "one")
        break
      }
      task.cancel()
      await task.value
      let lines = proxy.lines
      #expect(lines.count >= 2)
      #expect(
        lines.allSatisfy { $0 == "CONNECT 127.0.0.1:\(bench.cluster.tokenPort) HTTP/1.1" },
        "\(lines)"
      )
      proxy.close()
    }
  }

  @Test(
    "A.1: without one in the kubeconfig the environment's proxy counts, but for what NO_PROXY names",
    arguments: [
      ("https://k.example:6443", ["HTTPS_PROXY": "http://p:1"], "http://p:1"),
      ("https://k.example:6443", ["https_proxy": "http://p:2"], "http://p:2"),
      ("https://k.example:6443", ["HTTP_PROXY": "http://p:1"], nil),
      ("http://k.example:6443", ["HTTP_PROXY": "http://p:1"], "http://p:1"),
      ("https://k.example", ["HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.b, .example"], nil),
      ("https://k.example", ["HTTPS_PROXY": "http://p:1", "no_proxy": "k.example"], nil),
      ("https://k.example", ["HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"], nil),
      ("https://k.example", ["HTTPS_PROXY": "http://p:1", "NO_PROXY": "ample"], "http://p:1"),
      ("https://127.0.0.1:6443", ["HTTPS_PROXY": "http://p:1"], nil),
    ] as [(String, [String: String], String?)]
  )
  func environment(server: String, variables: [String: String], expected: String?) async throws {
    try await withTemporaryFolder { folder in
      let text = """
        current-context: one
        contexts: [{name: one, context: {cluster: c, user: u}}]
        clusters: [{name: c, cluster: {server: "\(server)"}}]
        users: [{name: u, user: {token: a}}]
        """
      try Files.writeDurably(Array(text.utf8), to: folder + "/config")
      let (http, loop) = (try HTTPClient(), try EventLoop(name: "test"))
      var environment = variables
      environment["KUBECONFIG"] = folder + "/config"
      let access = ClusterAccess(
        http: http,
        loop: loop,
        environment: { [environment] in environment[$0] }
      )
      #expect(try access.connection().client.configuration.proxy == expected)
      await access.close()
      await http.close()
      loop.stop()
    }
  }
}

/// A proxy for CONNECT on a port of its own, with a thread for each connection.
private final class ConnectProxy: Sendable {
  private let listener: Int32
  let port: Int
  private let seen = Mutex<[String]>([])

  /// The request lines so far.
  var lines: [String] { seen.withLock { $0 } }

  init() throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = listener
    let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(listener, $0, size) == 0 && listen(listener, 16) == 0
          && getsockname(listener, $0, &size) == 0
      }
    }
    guard isBound else { throw SystemError("bind", "proxy", code: errno) }
    port = Int(UInt16(bigEndian: address.sin_port))
    Thread.detachNewThread { [self] in
      while true {
        let client = accept(listener, nil, nil)
        if client < 0 { return }
        Thread.detachNewThread { self.serve(client) }
      }
    }
  }

  /// Ends listening; connections end with their clients.
  func close() {
    _ = shutdown(listener, Int32(SHUT_RDWR))
    _ = Glibc.close(listener)
  }

  private func serve(_ client: Int32) {
    defer { _ = Glibc.close(client) }
    var head: [UInt8] = []
    while !String(decoding: head, as: UTF8.self).contains("\r\n\r\n") {
      guard let more = read(client) else { return }
      head += more
    }
    let line = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")[0]
    seen.withLock { $0.append(line) }
    let target = line.split(separator: " ").dropFirst().first?.split(separator: ":").last
    guard let port = target.flatMap({ UInt16($0) }), let server = connect(to: port) else { return }
    defer { _ = Glibc.close(server) }
    write(client, Array("HTTP/1.1 200 Connection established\r\n\r\n".utf8))
    while true {
      var both = [
        pollfd(fd: client, events: Int16(POLLIN), revents: 0),
        pollfd(fd: server, events: Int16(POLLIN), revents: 0),
      ]
      let count = unsafe poll(&both, 2, 60_000)
      if count <= 0 { return }
      for (from, to) in [(0, server), (1, client)] where both[from].revents != 0 {
        guard let bytes = read(both[from].fd) else { return }
        write(to, bytes)
      }
    }
  }

  private func connect(to port: UInt16) -> Int32? {
    let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return code == 0 ? raw : nil
  }

  /// nil at the end.
  private func read(_ socket: Int32) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 16_384)
    let count = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(socket, $0.baseAddress, $0.count, 0)
    }
    return count > 0 ? Array(bytes[..<count]) : nil
  }

  private func write(_ socket: Int32, _ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe send(
          socket,
          $0.baseAddress?.advanced(by: sent),
          $0.count - sent,
          Int32(MSG_NOSIGNAL)
        )
      }
      if count <= 0 { return }
      sent += count
    }
  }
}
