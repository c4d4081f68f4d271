import ArgumentParser
import Glibc
import JSON
import Posix

/// `signalbox events replay`: an event of a running program fires again.
struct ReplayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay",
    abstract: "Have an event fire again, at the sensors as they are now.",
    discussion: """
      What it sets off is new: commands run again, and requests have another Idempotency-Key. \
      An event signalbox.event.replayed tells that it was asked for. Exit status 1 if nothing \
      fires or waits.
      """
  )

  @OptionGroup var folder: DataOption

  @Argument(help: "The id of the event.")
  var id: String

  @Option(help: "Only this sensor: NAME or NAMESPACE/NAME.")
  var sensor: String?

  @Option(help: "The event source, where events of several have the id.")
  var source: String?

  func run() throws {
    let given = [("event", id), ("sensor", sensor), ("source", source)]
    let request = JSON.object(
      given.compactMap { key, value in value.map { .init(key: key, value: .string($0)) } }
    )
    let answer = try ControlSocket(folder).post("/replay", request)
    if case .array(let lines)? = answer["messages"] {
      for case .string(let line) in lines { print(line) }
    }
    if answer["replayed"] != .bool(true) { throw ExitCode(1) }
  }
}

/// Asks the running program for something.
struct ControlSocket {
  private let path: String

  init(_ folder: DataOption) { path = folder.data + "/control.sock" }

  /// The answer, which is JSON whatever its status.
  /// - Throws: `ExitCode` 1 when no program answers; that was printed.
  func post(_ target: String, _ body: JSON? = nil) throws -> JSON {
    do throws(SystemError) { return try exchange(target, body).body } catch {
      print("no program answers on \(path): \(error)")
      throw ExitCode(1)
    }
  }

  /// The answer and its status; nil when no program answers.
  func answer(_ target: String, _ body: JSON) throws -> (status: Int, body: JSON)? {
    do throws(SystemError) { return try exchange(target, body) } catch {
      // Nobody ever ran there, or nobody does any longer.
      if error.call == "connect", [ENOENT, ECONNREFUSED, ENOTDIR].contains(error.code) {
        return nil
      }
      print("the program on \(path) does not answer: \(error)")
      throw ExitCode(1)
    }
  }

  private func exchange(
    _ target: String,
    _ body: JSON?
  ) throws(SystemError) -> (status: Int, body: JSON) {
    let bytes = body?.encoded() ?? []
    let head =
      "POST \(target) HTTP/1.1\r\nHost: control\r\nConnection: close\r\n"
      + "Content-Length: \(bytes.count)\r\n\r\n"
    let answer = try Socket.exchange(Array(head.utf8) + bytes, path: path)
    let parts = String(decoding: answer, as: UTF8.self).split(separator: "\r\n\r\n", maxSplits: 1)
    let status = Int((parts.first ?? "").dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0
    guard let json = try? JSON(parsing: Array((parts.last ?? "").utf8)) else {
      throw SystemError("read", path, code: EBADMSG)
    }
    return (status, json)
  }
}
