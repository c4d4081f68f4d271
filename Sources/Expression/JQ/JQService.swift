import CJQ
import Glibc

/// The worker's side: what `signalbox __jq` does.
package enum JQService {
  /// The only argument of the worker's process.
  package static let argument = "__jq"
  /// Address space on top of what the program has when it starts, in bytes.
  private static let spaceMax = 512 << 20
  /// Seconds of processor time for one call.
  private static let secondsMax = 20
  private static let frameMax = 64 << 20
  /// Programs kept compiled.
  private static let programsMax = 64

  /// Answers requests on standard input until it ends.
  package static func run() {
    // The zone's file has to be open before no file can be opened any more.
    tzset()
    _ = cjq_limit_core()
    _ = cjq_limit_space(rlim_t(spaceInUse() + spaceMax))
    // No module, no file in the home folder, nothing: three descriptors are all there will be.
    _ = cjq_limit_files(3)
    var programs: [[UInt8]: Compiled] = [:]
    while let head = read(JQFrame.requestHead) {
      let (codeCount, dataCount) = (JQFrame.length(head[0..<4]), JQFrame.length(head[4..<8]))
      guard codeCount + dataCount <= frameMax, let code = read(codeCount),
        let data = read(dataCount)
      else { return }
      _ = cjq_limit_time(rlim_t(Int(clock()) / Int(CLOCKS_PER_SEC) + secondsMax))
      if programs.count >= programsMax, programs[code] == nil { programs = [:] }
      let compiled = programs[code] ?? Compiled(code)
      programs[code] = compiled
      guard write(compiled.run(data)) else { return }
    }
  }

  private static func spaceInUse() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 1 << 40 }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 100)
    guard unsafe fgets(&line, Int32(line.count), file) != nil else { return 1 << 40 }
    let digits = line.prefix { $0 >= 0x30 && $0 <= 0x39 }.map { UInt8(bitPattern: $0) }
    return (Int(String(decoding: digits, as: UTF8.self)) ?? 0) * Int(getpagesize())
  }

  /// nil where the input ends before.
  private static func read(_ count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let got = unsafe bytes.withUnsafeMutableBytes { buffer in
        unsafe Glibc.read(0, buffer.baseAddress.map { unsafe $0 + done }, count - done)
      }
      if got < 0, errno == EINTR { continue }
      guard got > 0 else { return nil }
      done += got
    }
    return bytes
  }

  private static func write(_ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let put = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(1, buffer.baseAddress.map { unsafe $0 + done }, bytes.count - done)
      }
      if put < 0, errno == EINTR { continue }
      guard put > 0 else { return false }
      done += put
    }
    return true
  }
}

/// A program, or why it is none.
@safe private final class Compiled {
  private let program: OpaquePointer?
  private let problem: String

  init(_ code: [UInt8]) {
    var words: UnsafeMutablePointer<CChar>?
    let text = String(decoding: code, as: UTF8.self)
    unsafe program = cjq_compile(text, jqHost, &words)
    problem = unsafe words.map { unsafe String(cString: $0) } ?? "the program does not compile"
    unsafe free(words)
  }

  deinit { if let program = unsafe program { unsafe cjq_free(program) } }

  func run(_ data: [UInt8]) -> [UInt8] {
    guard let program = unsafe program else {
      return JQFrame.answer(.syntax, Array(problem.utf8))
    }
    let bytes = data.map { CChar(bitPattern: $0) }
    let result = unsafe cjq_run(program, bytes, bytes.count)
    defer { unsafe cjq_release(result) }
    let text = unsafe Array(
      UnsafeRawBufferPointer(start: result.bytes, count: result.bytes == nil ? 0 : result.count)
    )
    let status: JQFrame.Status =
      switch unsafe result.status {
      case cjq_value: .value
      case cjq_nothing: .nothing
      case cjq_bad_input: .badInput
      default: .error
      }
    return JQFrame.answer(status, text)
  }
}
