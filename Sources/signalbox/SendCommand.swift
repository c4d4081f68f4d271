import ArgumentParser
import Glibc
import JSON
import Posix
import TLS

/// `signalbox send`: a sample request with a correct signature, to try a source.
struct SendCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "send",
    abstract: "Send a sample request to an event source on this machine.",
    subcommands: [GitHubPush.self]
  )

  struct GitHubPush: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "github-push",
      abstract: "Send a push as GitHub would, signed."
    )

    @OptionGroup var secrets: SecretsOption

    @Option(help: "The secret's name and key.")
    var secret = "github/secret"

    @Option(help: "The port the event source listens on, on 127.0.0.1.")
    var port = 12000

    @Option(help: "The path of the event source.")
    var endpoint = "/push"

    @Option(help: "The branch that is pushed to.")
    var branch = "main"

    func run() async throws {
      var key = try Files.read("\(secrets.secrets)/\(secret)", limit: 1 << 20)
      if key.last == 0x0a { key.removeLast() }
      guard !key.isEmpty else { throw ValidationError("the secret is empty") }
      let body = sample.encoded()
      let signature = hexadecimal(HMACKey(key).code(body))
      let head =
        "POST \(endpoint) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        + "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
        + "X-GitHub-Event: push\r\nX-GitHub-Hook-ID: 1\r\n"
        + "X-GitHub-Delivery: \(hexadecimal(secureRandomBytes(16)))\r\n"
        + "X-Hub-Signature-256: sha256=\(signature)\r\n\r\n"
      let answer = try Socket.exchange(Array(head.utf8) + body, port: port)
      let text = String(decoding: answer, as: UTF8.self)
      print(text.split(separator: "\r\n\r\n").last ?? "no answer")
      if !text.hasPrefix("HTTP/1.1 20") { throw ExitCode(1) }
    }

    private var sample: JSON {
      let commit = hexadecimal(secureRandomBytes(20))
      return [
        "ref": .string("refs/heads/\(branch)"),
        "before": .string(String(repeating: "0", count: 40)), "after": .string(commit),
        "repository": ["full_name": "example/hello", "default_branch": "main"],
        "pusher": ["name": "octocat"],
        "head_commit": ["id": .string(commit), "message": "Say hello"],
        "commits": [],
      ]
    }
  }
}
