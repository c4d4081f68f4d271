import Foundation
import Posix
import TestKit
import Testing

/// What the tests with a broker need: `deploy/install-test-tools` puts it into `.build/test-tools`,
/// or `SIGNALBOX_TEST_TOOLS` says where it is.
enum Tools {
  static let folder =
    ProcessInfo.processInfo.environment["SIGNALBOX_TEST_TOOLS"] ?? root + "/.build/test-tools"
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  static let python = folder + "/bin/python"

  /// The broker's own program: signals must reach it.
  static let broker: String? = {
    let library = folder + "/lib"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: library)) ?? []
    return versions.map { "\(library)/\($0)/site-packages/noida_db/noida-db" }
      .first { FileManager.default.fileExists(atPath: $0) }
  }()

  /// A broker that somebody else runs, as `host:port`.
  static let outsideBroker = ProcessInfo.processInfo.environment["SIGNALBOX_TEST_KAFKA"]

  static var areThere: Bool {
    FileManager.default.isExecutableFile(atPath: python) && (broker ?? outsideBroker) != nil
  }

  /// Runs `Tests/Foreign/kafka.py` to its end.
  @discardableResult
  static func foreign(_ arguments: String...) throws -> String {
    let result = try run(
      python,
      [root + "/Tests/Foreign/kafka.py"] + arguments
    )
    if result.status != 0 { throw Failure("kafka.py \(arguments): \(result.output)") }
    return result.output
  }

  /// Runs a program to its end. Its errors are part of the output only when it fails.
  static func run(_ path: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    guard let file = unsafe tmpfile() else { throw SystemError("tmpfile") }
    defer { unsafe fclose(file) }
    let errors = unsafe FileHandle(fileDescriptor: fileno(file), closeOnDealloc: false)
    let output = Pipe()
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let text = String(decoding: bytes, as: UTF8.self)
    if process.terminationStatus == 0 { return (0, text) }
    try errors.seek(toOffset: 0)
    let words = String(decoding: errors.readDataToEndOfFile(), as: UTF8.self)
    return (process.terminationStatus, text + words)
  }
}

struct Failure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A program that runs until it is ended, its output in a file.
final class RunningProgram {
  let id: Int32
  private let input: FileHandle
  private let log: String
  private var status: Int32?

  var printed: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

  /// - Parameter log: the file that takes what it prints.
  init(
    _ path: String,
    _ arguments: [String],
    log: String,
    environment: [String: String] = [:]
  ) throws {
    self.log = log
    try Files.makeFolder(Files.parent(of: log))
    let output = try FileDescriptor.open(log, O_WRONLY | O_CREAT | O_TRUNC)
    var ends: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw SystemError("socketpair") }
    let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let program = Program(
      path: path,
      arguments: [path] + arguments,
      environment: all.map { "\($0.key)=\($0.value)" }
    )
    defer { close(ends[0]) }
    input = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
    id = try program.start(descriptors: [ends[0], output.raw, output.raw])
  }

  var isRunning: Bool {
    if status == nil { take(WNOHANG) }
    return status == nil
  }

  private func take(_ flags: Int32) {
    var found: Int32 = 0
    guard status == nil, unsafe waitpid(id, &found, flags) == id else { return }
    status = found & 0x7f == 0 ? found >> 8 & 0xff : 128 + found & 0x7f
  }

  /// Ends its standard input and waits for the end.
  func finish() {
    // A program that is gone already has closed its end.
    try? input.close()
    take(0)
  }

  func signal(_ number: Int32) { if isRunning { kill(id, number) } }

  /// Sends `number`, waits for the end and answers the exit status, or 128 and the signal.
  @discardableResult
  func end(by number: Int32 = SIGTERM) -> Int32 {
    signal(number)
    take(0)
    return status ?? -1
  }

  deinit { end(by: SIGKILL) }
}

/// A broker that keeps its topics over a restart. Where `SIGNALBOX_TEST_KAFKA` names one, that one
/// is used and never stopped.
final class TestBroker {
  let port: Int
  let address: String
  private let folder: String
  private var program: RunningProgram?
  let isOurs: Bool

  init(_ folder: String) throws {
    self.folder = folder + "/broker"
    if let outside = Tools.outsideBroker {
      address = outside
      port = Int(outside.split(separator: ":").last ?? "") ?? 0
      isOurs = false
      return
    }
    isOurs = true
    port = try freePort()
    address = "127.0.0.1:\(port)"
    try start()
  }

  func start() throws {
    guard isOurs, let path = Tools.broker else { return }
    let options = ["start", "--only", "kafka", "--kafka-port", "\(port)", "--data-dir", folder]
    // The shell ends the broker when its own standard input ends: also when the tests are killed.
    let script = "\"$0\" \"$@\" </dev/null & cat >/dev/null; kill $!; wait $!"
    let program = try RunningProgram(
      "/bin/sh",
      ["-c", script, path] + options,
      log: folder + "/output"
    )
    self.program = program
    try waitUntil(seconds: 60) {
      if !program.isRunning { throw Failure("no broker: \(program.printed)") }
      return connects(port)
    }
  }

  /// Stops it as one does; killed outright it loses what it acknowledged.
  func stop() {
    program?.finish()
    program = nil
  }

  deinit { stop() }
}

/// Whether somebody listens on a port of this machine.
func connects(_ port: Int) -> Bool { connect(to: port) != nil }

func freePort() throws -> Int {
  let listener = try Socket.listen("127.0.0.1", 0)
  return try Socket.port(listener)
}

/// The memory of a process in KiB; 0 when it is gone.
func residentMemoryKiB(of process: Int32) -> Int {
  let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
  let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
  return line.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
}

/// Looks again every few milliseconds until `condition` holds.
/// - Throws: `Failure` when it does not hold in time.
func waitUntil(
  seconds: Double,
  _ what: @autoclosure () -> String = "what was waited for",
  _ condition: () throws -> Bool
) throws {
  let deadline = MonotonicTime.now() + .milliseconds(Int64(seconds * 1000))
  while try !condition() {
    if MonotonicTime.now() > deadline { throw Failure("\(what()) did not happen") }
    _ = poll(nil, 0, 10)
  }
}

/// The same where the condition has to be awaited.
func waitUntil(
  seconds: Double,
  _ what: @autoclosure () -> String = "what was waited for",
  _ condition: () async throws -> Bool
) async throws {
  let deadline = MonotonicTime.now() + .milliseconds(Int64(seconds * 1000))
  while try await !condition() {
    if MonotonicTime.now() > deadline { throw Failure("\(what()) did not happen") }
    _ = poll(nil, 0, 10)
  }
}
