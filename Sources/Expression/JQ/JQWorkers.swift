package import JSON
import Posix
import Synchronization

/// Bounds on one call.
package struct JQLimits: Sendable {
  /// From the call to its answer, starting a worker included.
  package var time = Duration.seconds(5)
  /// Bytes of data and of the answer.
  package var bytes = 8 << 20

  package init() {}
}

/// The processes that run jq programs: as many as there are cores, started when first needed and
/// kept warm. A worker that hangs or ends is replaced.
package final class JQWorkers: Sendable {
  private let program: String
  private let arguments: [String]
  private let limits: JQLimits
  private let places: [Place]

  /// Where one worker is, for one call at a time.
  private final class Place: Sendable {
    let worker = Mutex<JQWorker?>(nil)
  }

  /// - Parameters:
  ///   - program: the path of the binary that answers `arguments` with `JQService.run`.
  package init(
    program: String,
    arguments: [String] = [JQService.argument],
    count: Int = coreCount(),
    limits: JQLimits = JQLimits()
  ) {
    (self.program, self.arguments, self.limits) = (program, arguments, limits)
    places = (0..<max(1, count)).map { _ in Place() }
  }

  /// Checks a program by compiling it.
  /// - Throws: `JQError` of kind `syntax`, or because no worker answered.
  package func check(_ program: JQProgram) throws(JQError) {
    _ = try answer(program, Array("null".utf8))
  }

  /// `transform.jq`: the first output for `data`, which must be an object, as must the output.
  /// - Throws: `JQError`; a call that hangs or ends its worker is one too.
  package func transform(_ program: JQProgram, _ data: JSON) throws(JQError) -> JSON {
    switch data {
    case .object:
      // The original visits members by their keys.
      return try object(try answer(program, try data.sorted().encoded()))
    case .null:
      // The original has an empty object for null, and gives it back as null if it is the same.
      let output = try object(try answer(program, Array("{}".utf8)))
      guard output == .object([]) else { return output }
      let again = try answer(program, Array("null".utf8))
      return again.status == .value && again.text == Array("null".utf8) ? .null : output
    default: throw JQError(.execution, "the data must be a JSON object")
    }
  }

  /// The first output for any data, whatever it is; nil for a program without one.
  /// - Throws: `JQError`.
  package func first(_ program: JQProgram, _ data: JSON) throws(JQError) -> JSON? {
    let answer = try answer(program, try data.sorted().encoded())
    let words = String(decoding: answer.text, as: UTF8.self)
    switch answer.status {
    case .nothing: return nil
    case .error, .badInput, .syntax: throw JQError(.execution, words)
    case .value:
      do throws(JSONError) { return try JSON(parsing: answer.text) } catch {
        throw JQError(.execution, "the output is not JSON: \(error)")
      }
    }
  }

  private func object(_ answer: JQAnswer) throws(JQError) -> JSON {
    let words = String(decoding: answer.text, as: UTF8.self)
    switch answer.status {
    case .nothing: throw JQError(.execution, "the program gives no output")
    case .error, .badInput, .syntax: throw JQError(.execution, words)
    case .value: break
    }
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: answer.text) } catch {
      throw JQError(.execution, "the output is not JSON: \(error)")
    }
    if case .object = json { return json }
    throw JQError(.execution, "the output must be a JSON object")
  }

  /// - Throws: `JQError`, also for a program that does not compile.
  private func answer(
    _ program: JQProgram,
    _ data: [UInt8]
  ) throws(JQError) -> JQAnswer {
    guard data.count <= limits.bytes else { throw JQError(.limit, "the data are too large") }
    let request = JQFrame.request(program.code, data)
    // The first that is free: it has most programs compiled already.
    for place in places {
      let answer = try place.worker.withLockIfAvailable { (worker) throws(JQError) in
        try ask(&worker, request)
      }
      if let answer { return try checked(answer) }
    }
    // All are busy, but none for longer than its deadline.
    let place = places[Int.random(in: places.indices)]
    return try checked(
      try place.worker.withLock { (worker) throws(JQError) in try ask(&worker, request) }
    )
  }

  private func checked(_ answer: JQAnswer) throws(JQError) -> JQAnswer {
    if answer.status == .syntax {
      throw JQError(.syntax, String(decoding: answer.text, as: UTF8.self))
    }
    return answer
  }

  private func ask(_ worker: inout JQWorker?, _ request: [UInt8]) throws(JQError) -> JQAnswer {
    let deadline = MonotonicTime.now() + limits.time
    let found: JQWorker
    if let worker { found = worker } else { found = try JQWorker(program, arguments) }
    worker = found
    do throws(JQError) {
      return try found.ask(request, answerMax: limits.bytes, until: deadline)
    } catch {
      found.end()
      worker = nil
      throw error
    }
  }

  /// Ends the workers that are not at work; they come back when they are needed.
  package func close() {
    for place in places {
      place.worker.withLock { worker in
        worker?.end()
        worker = nil
      }
    }
  }

  deinit { close() }
}

extension JSON {
  /// Members by their keys, the last of one name.
  /// - Throws: `JQError` for a number that is out of range.
  fileprivate func sorted() throws(JQError) -> JSON {
    switch self {
    case .array(let items):
      return .array(try items.map { (item) throws(JQError) in try item.sorted() })
    case .object(let members):
      var last: [ByteString: JSON] = [:]
      for member in members { last[ByteString(member.key)] = member.value }
      return .object(
        try last.sorted { $0.key < $1.key }.map { (entry) throws(JQError) in
          Member(key: entry.key.description, value: try entry.value.sorted())
        }
      )
    case .number(let text):
      guard let number = Double(text), number.isFinite else {
        throw JQError(.execution, "the number \(text) is out of range")
      }
      return self
    default: return self
    }
  }
}
