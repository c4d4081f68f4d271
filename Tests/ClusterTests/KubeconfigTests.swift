import Cluster
import Glibc
import HTTPClient
import JSON
import Posix
import TestKit
import Testing

@Suite struct KubeconfigTests {
  private func write(_ text: String, _ path: String) throws {
    try Files.writeDurably(Array(text.utf8), to: path)
  }

  private func file(_ server: String, cluster: String = "", user: String = "{token: a}") -> String {
    """
    apiVersion: v1
    kind: Config
    current-context: one
    contexts:
    - {name: one, context: {cluster: c, user: u}}
    clusters:
    - name: c
      cluster: {server: "\(server)"\(cluster)}
    users:
    - name: u
      user: \(user)
    """
  }

  private func problem(_ text: String) async throws -> String {
    try await withTemporaryFolder { folder in
      try write(text, folder + "/config")
      do throws(ClusterError) {
        _ = try Kubeconfig(files: [folder + "/config"]).configuration()
        return ""
      } catch { return error.description.replacing(folder + "/", with: "") }
    }
  }

  @Test("A.1: files are merged, the first that has an entry wins, paths start from their own file")
  func merging() async throws {
    try await withTemporaryFolder { folder in
      try Files.makeFolder(folder + "/b")
      try write(
        """
        contexts:
        - {name: one, context: {cluster: c, user: u, namespace: first}}
        users:
        - {name: u, user: {tokenFile: token}}
        """,
        folder + "/a"
      )
      try write(
        """
        current-context: one
        contexts:
        - {name: one, context: {cluster: x, user: y, namespace: second}}
        clusters:
        - {name: c, cluster: {server: "https://k:6443/base/", certificate-authority: ca.crt}}
        """,
        folder + "/b/config"
      )
      let files = [folder + "/absent", folder + "/a", folder + "/b/config"]
      let found = try Kubeconfig(files: files).configuration()
      #expect(found.server == "https://k:6443/base")
      #expect(found.namespace == "first")
      #expect(found.authorities == .file(folder + "/b/ca.crt"))
      #expect(found.identity == .tokenFile(folder + "/token"))
    }
  }

  @Test(
    "A.1: what cannot work is told with file, line and column",
    arguments: [
      ("https://k", ", insecure-skip-tls-verify: true", "{token: a}", "config:8:60: insecure"),
      ("k:6443", "", "{token: a}", "config:8:21: server: found 'k:6443'"),
      ("https://k", "", "{client-certificate: a}", "found one of client-certificate"),
      ("https://k", "", "{token: a, username: b}", "found a token and a username"),
      ("https://k", "", "{auth-provider: {name: gcp}}", "auth-provider: is not supported"),
      ("https://k", ", proxy-url: \"ftp://x\"", "{token: a}", "proxy-url: found 'ftp://x'"),
      ("https://k", ", certificate-authority-data: \"?\"", "{}", "expected base64"),
      (
        "https://k", "",
        "{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}", "v1alpha1"
      ),
      (
        "https://k", "",
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}}",
        "nobody sits"
      ),
      (
        "https://k", "", "{exec: {apiVersion: client.authentication.k8s.io/v1, command: x}}",
        "interactiveMode: found nothing"
      ),
    ]
  )
  func refused(server: String, cluster: String, user: String, expected: String) async throws {
    let found = try await problem(file(server, cluster: cluster, user: user))
    #expect(found.contains(expected), "\(found)")
  }

  @Test("A.2: a token file that changes is read again after a refusal, and the request repeated")
  func tokenFile() async throws {
    try await Bench.run { bench in
      let path = bench.folder + "/token"
      try write("old\n", path)
      var configuration = bench.client.configuration
      configuration.identity = .tokenFile(path)
      bench.cluster.setTokens(["old"])
      let client = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      _ = try await client.list(bench.configMaps, namespace: "ci")
      bench.cluster.setTokens(["new"])
      let error = await bench.refusal {
        _ = try await client.list(bench.configMaps, namespace: "ci")
      }
      #expect(error?.code == 401)
      try write("new\n", path)
      _ = try await client.list(bench.configMaps, namespace: "ci")
    }
  }

  @Test(
    "A.1: a credential plugin runs once for many requests, again after a 401; its words are told"
  )
  func plugin() async throws {
    try await Bench.run { bench in
      let script = bench.folder + "/plugin"
      try write(
        """
        #!/bin/sh
        echo run >>"$COUNT"
        test -n "$KUBERNETES_EXEC_INFO" || exit 3
        test -z "$SIGNALBOX_SECRET_A_B" || exit 4
        test -f "$COUNT.fail" && { echo "no ticket" >&2; exit 1; }
        echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",'
        echo '"status":{"token":"'$(cat "$COUNT.token")'"}}'
        """,
        script
      )
      unsafe chmod(script, 0o700)
      let count = bench.folder + "/count"
      try write("one", count + ".token")
      try write(
        file(
          "https://127.0.0.1:\(bench.cluster.tokenPort)",
          cluster:
            ", certificate-authority-data: \(TestCertificates.base64(TestCertificates.authority))",
          user: """
            {exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin,
               interactiveMode: Never, env: [{name: COUNT, value: "\(count)"}]}}
            """
        ),
        bench.folder + "/exec"
      )
      let configuration = try Kubeconfig(files: [bench.folder + "/exec"]).configuration()
      let client = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      bench.cluster.setTokens(["one"])
      for _ in 0..<3 { _ = try await client.list(bench.configMaps, namespace: "ci") }
      #expect(try Files.read(count).count == 4)
      try write("two", count + ".token")
      bench.cluster.setTokens(["two"])
      _ = try await client.list(bench.configMaps, namespace: "ci")
      #expect(try Files.read(count).count == 8)
      bench.cluster.setTokens(["three"])
      try write("", count + ".fail")
      let error = await bench.refusal {
        _ = try await client.list(bench.configMaps, namespace: "ci")
      }
      #expect(error?.kind == .credential)
      #expect(error?.description.contains("no ticket") == true)
    }
  }

  @Test("A.1: the certificate is checked by tls-server-name where there is one")
  func serverName() async throws {
    try await Bench.run { bench in
      var configuration = bench.client.configuration
      configuration.server = "https://127.0.0.1:\(bench.cluster.tokenPort)"
      configuration.serverName = "one.test"
      let client = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      _ = try await client.list(bench.configMaps, namespace: "ci")
      configuration.serverName = "two.test"
      let other = ClusterClient(configuration, http: bench.http, loop: bench.loop)
      let error = await bench.refusal {
        _ = try await other.list(bench.configMaps, namespace: "ci")
      }
      #expect(error?.kind == .transport(.tls))
    }
  }

  @Test("without any configuration the error says what to give")
  func absent() async throws {
    let access = ClusterAccess(kubeconfig: "/nowhere/config", http: nil, loop: nil)
    let error = #expect(throws: ClusterError.self) { _ = try access.configuration() }
    #expect(error?.kind == .notConfigured)
  }
}
