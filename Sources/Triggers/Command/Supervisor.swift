import Glibc
import Posix

/// Runs one command and keeps how it ended. It is a process of its own (the same program,
/// executed with `argument`), so a command outlives the program that wanted it, and its result is
/// found by the next one.
package enum Supervisor {
  /// The only argument of the supervisor's process.
  package static let argument = "__supervise"

  /// Between the polite signal and the one that cannot be ignored.
  private static let grace = Duration.seconds(5)
  /// For output that processes outside the command's group still hold open.
  private static let lingering = Duration.seconds(1)

  /// Starts a supervisor for `job`. Until the job's folder is made the supervisor dies with the
  /// calling thread: one that is late must not run what a later start of the program has run.
  /// - Parameter program: the path of the program that calls `run` when it sees `argument`.
  /// - Returns: the process, which the caller waits for, and the file it writes errors to.
  static func start(_ job: Job, input: [UInt8], program: String) throws(SystemError) -> Started {
    let description = try FileDescriptor.memory("job", job.encoded())
    let standardInput = try FileDescriptor.memory("input", input)
    let errors = try FileDescriptor.memory("errors", [])
    let nowhere = try FileDescriptor.open("/dev/null", O_WRONLY)
    let process = try Program(
      path: program,
      arguments: [program, argument],
      environment: [],
      leadsSession: true,
      diesWithCaller: true
    ).start(descriptors: [description.raw, nowhere.raw, errors.raw, standardInput.raw])
    return Started(process: process, errors: errors)
  }

  final class Started {
    let process: ProcessID
    private let errors: FileDescriptor

    init(process: ProcessID, errors: consuming FileDescriptor) {
      self.process = process
      self.errors = errors
    }

    /// What the supervisor had to say.
    func complaint() -> String {
      let raw = errors.raw
      guard lseek(raw, 0, SEEK_SET) == 0, let bytes = try? Files.readToEnd(errors, limit: 4096)
      else { return "" }
      return String(decoding: bytes, as: UTF8.self)
    }
  }

  /// The supervisor's whole life.
  /// - Returns: the exit status: 0 when the command has run, here or elsewhere.
  package static func run() -> Int32 {
    // They reach the command where the whole service is stopped; its result is still wanted.
    for number in [SIGTERM, SIGINT, SIGHUP, SIGPIPE] { signal(number, SIG_IGN) }
    do throws(SystemError) {
      let description = FileDescriptor(owning: 0)
      guard let job = Job(try Files.readToEnd(description)) else {
        throw SystemError("read", "the job", code: EBADMSG)
      }
      guard let claim = try job.folder.claim() else { return 0 }
      try Processes.outliveCaller()
      var output = CommandOutput(claim)
      let result = supervise(job, &output)
      try store(result, job.folder, claim)
      return 0
    } catch {
      let words = Array("\(error)".utf8)
      _ = unsafe write(2, words, words.count)
      return 1
    }
  }

  private static func supervise(_ job: Job, _ output: inout CommandOutput) -> JobResult {
    let began = MonotonicTime.now()
    do throws(SystemError) {
      var pipe = try PipeEnds()
      guard let writing = pipe.writing?.raw else { preconditionFailure("just opened") }
      let process = try Program(
        path: try path(of: job.argv[0], job.environment),
        arguments: job.argv,
        environment: job.environment,
        folder: job.workingDirectory,
        diesWithCaller: true
      ).start(descriptors: [3, writing, writing])
      pipe.writing = nil
      let handle = try ProcessHandle(process)
      let isTimedOut = wait(
        for: process,
        handle,
        until: began + .nanoseconds(job.timeout),
        pipe.reading,
        &output
      )
      // While its leader is not reaped, the number of the group is nobody else's.
      kill(-process, SIGKILL)
      var result = JobResult(.notStarted("its end is unknown"))
      switch Processes.reap(process)?.end {
      case .exited(let status): result.end = .exited(Int(status))
      case .signalled(let signal): result.end = .signalled(Int(signal))
      case nil: break
      }
      output.drain(pipe.reading, atMost: lingering)
      result.isTimedOut = isTimedOut
      result.duration = (MonotonicTime.now() - began).wholeNanoseconds
      result.outputBytes = output.count
      result.tail = output.tailText
      return result
    } catch {
      return JobResult(.notStarted("\(error)"))
    }
  }

  /// Takes output until the process ends, and sees to it that it ends; answers whether its time
  /// was up.
  private static func wait(
    for process: ProcessID,
    _ handle: ProcessHandle,
    until deadline: MonotonicTime,
    _ pipe: borrowing FileDescriptor,
    _ output: inout CommandOutput
  ) -> Bool {
    var isTimedOut = false
    var nextSignal: MonotonicTime? = deadline
    while true {
      let now = MonotonicTime.now()
      if let due = nextSignal, now >= due {
        kill(-process, isTimedOut ? SIGKILL : SIGTERM)
        nextSignal = isTimedOut ? nil : now + grace
        isTimedOut = true
      }
      let limit = nextSignal.map { $0 - now }
      let ready = poll([handle.raw, output.isEnded ? -1 : pipe.raw], atMost: limit)
      if ready[1] { output.take(from: pipe) }
      if ready[0] { return isTimedOut }
    }
  }

  /// The file that `name` means: a path as it is, a bare name by the command's own PATH.
  private static func path(
    of name: String,
    _ environment: [String]
  ) throws(SystemError) -> String {
    if name.utf8.contains(0x2f) { return name }
    let variable = environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
    for folder in variable.split(separator: ":") {
      let path = folder + "/" + name
      if Files.kind(path) == .file, unsafe access(path, X_OK) == 0 { return path }
    }
    throw SystemError("find", "\(name) in PATH=\(variable)", code: ENOENT)
  }

  /// Stores the result. On a full disk it waits for space: the result cannot be had again.
  private static func store(
    _ result: JobResult,
    _ folder: JobFolder,
    _ claim: JobFolder.Claim
  ) throws(SystemError) {
    for attempt in 1... {
      do throws(SystemError) {
        try claim.output.sync()
        return try Files.writeDurably(result.encoded(), to: folder.path + "/result")
      } catch {
        guard error.isOutOfSpace, attempt < 3600 else { throw error }
        // The output gives its space to the result, which holds its end.
        try claim.output.truncate(to: 0)
        _ = poll([], atMost: .seconds(1))
      }
    }
  }
}

/// Waits until one of `descriptors` is readable or hung up, for `limit` at most; negative ones
/// are left out.
func poll(_ descriptors: [Int32], atMost limit: Duration?) -> [Bool] {
  var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
  let milliseconds = limit.map { Int32(clamping: ($0.wholeNanoseconds + 999_999) / 1_000_000) }
  // EINTR leaves nothing ready; the caller looks again.
  if unsafe poll(&entries, nfds_t(entries.count), max(-1, milliseconds ?? -1)) <= 0 {
    return descriptors.map { _ in false }
  }
  return entries.map { $0.revents != 0 }
}
