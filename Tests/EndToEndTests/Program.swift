import Foundation
import Posix
import TLS
import TestKit
import Testing

/// The real binary, running on a folder: `manifests` (a folder, unless they are in a cluster), `data`,
/// `secrets`.
final class Program {
  let folder: String
  private let process = Process()
  private let output: PrintedOutput

  /// What it printed so far.
  var printed: String { output.all }
  var isRunning: Bool { process.isRunning }
  var processID: Int32 { process.processIdentifier }

  /// Starts it and waits until it says that it is ready.
  /// - Parameter started: what it prints then.
  /// - Throws: `SystemError` with what it printed when it ended instead.
  init(
    _ folder: String,
    _ options: [String] = [],
    started: String = "\nready",
    environment: [String: String] = [:]
  ) throws {
    self.folder = folder
    process.executableURL = URL(fileURLWithPath: builtProgram("signalbox"))
    let isInCluster = options.contains("--kubernetes")
    process.arguments =
      ["run"] + (isInCluster ? [] : [folder + "/manifests"]) + [
        "--data", folder + "/data", "--secrets",
        folder + "/secrets", "--listen", "127.0.0.1",
      ] + (isInCluster || options.contains("--watch") ? [] : ["--no-watch"]) + options
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    output = PrintedOutput(pipe)
    if !output.wait(for: started) { throw SystemError("start", output.all, code: ECHILD) }
  }

  func signal(_ number: Int32) { if process.isRunning { kill(process.processIdentifier, number) } }

  /// Sends `number`, waits for the end and answers the exit status.
  @discardableResult
  func end(by number: Int32 = SIGTERM) -> Int32 {
    signal(number)
    process.waitUntilExit()
    return process.terminationStatus
  }

  /// Waits until it ends by itself and answers the exit status.
  func wait() -> Int32 {
    process.waitUntilExit()
    output.waitForEnd()
    return process.terminationStatus
  }

  deinit { signal(SIGKILL) }
}

/// Runs another command of the binary to its end.
func signalbox(_ arguments: [String]) throws -> (status: Int32, output: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: builtProgram("signalbox"))
  process.arguments = arguments
  let output = Pipe()
  process.standardOutput = output
  process.standardError = output
  try process.run()
  let bytes = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
}

/// Makes a log with one segment unreadable: both copies of the segment's header are lost.
func loseHeader(_ log: String) throws {
  let name = try #require(try Files.list(log).first { $0.hasSuffix(".log") })
  var bytes = try Files.read(log + "/" + name, limit: 64 << 20)
  for index in 0..<64 { bytes[index] = 0 }
  try Files.writeDurably(bytes, to: log + "/" + name)
}

/// A port that was free a moment ago.
func freePort() throws -> Int {
  let listener = try Socket.listen("127.0.0.1", 0)
  return try Socket.port(listener)
}

func write(_ text: String, _ path: String) throws {
  try Files.makeFolder(Files.parent(of: path))
  try Files.writeDurably(Array(text.utf8), to: path)
}

/// A signed push of GitHub as bytes of HTTP.
func signedPush(
  _ body: String,
  delivery: String,
  secret: String,
  path: String = "/push",
  headers: [String] = []
) -> [UInt8] {
  let body = Array(body.utf8)
  let signature = hexadecimal(HMACKey(Array(secret.utf8)).code(body))
  let lines =
    [
      "POST \(path) HTTP/1.1", "Host: x", "Content-Type: application/json",
      "Content-Length: \(body.count)", "X-GitHub-Event: push", "X-GitHub-Delivery: \(delivery)",
      "X-Hub-Signature-256: sha256=\(signature)",
    ] + headers
  return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
}
