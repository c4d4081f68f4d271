import Event
import Expression
import Glibc
import HTTP
import JSON
import Manifest
import Plugin
import Posix
import Synchronization
import TLS

/// `git`: pushes to a repository without a forge. A hook in the repository tells of them
/// (`signalbox git install`), or the repository is asked for its refs now and then.
struct GitSource: EventSource, RequestHandler {
  static let kind = "git"
  static let reachesMachine = true
  typealias Spec = GitSpec
  private let spec: GitSpec
  private let name: EventSourceName
  private let host: any SourceHost
  private let gaps = GapWatch()
  private let gate: EventSourceFilter?

  init(_ spec: GitSpec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    self.spec = spec
    self.name = name
    self.host = host
    checkSecret(spec.webhook?.authSecret, "webhook", host, block)
    do throws(ExprError) {
      gate = try spec.gate.flatMap { (text) throws(ExprError) in
        text.isEmpty ? nil : try EventSourceFilter(text, world: host.world)
      }
    } catch {
      gate = nil
      block.error("gate", "expression: \(error)")
    }
  }

  /// Who can write to the repository or to `push.sock` is let in by the system, and hooks elsewhere
  /// show a token.
  var isAuthenticated: Bool { true }

  var routes: [Route] {
    if let webhook = spec.webhook {
      return ["", "/refs", "/gate"].map {
        Route(
          port: webhook.port,
          path: webhook.endpoint + $0,
          method: "POST",
          handler: self,
          tls: webhook.tls
        )
      }
    }
    guard let repository = spec.repository else { return [] }
    let path = PushSpool.route(repository)
    return [path, path + "/refs", path + "/gate"].map {
      Route(port: Route.pushSocket, path: $0, method: "POST", handler: self)
    }
  }

  func accept(_ head: RequestHead) -> Acceptance {
    if let refusal = refusal(of: head) { return .answer(refusal) }
    // The endpoint itself may end like one of these.
    let below = spec.webhook.map { String(head.path.dropFirst($0.endpoint.count)) } ?? head.path
    let isReport = below.hasSuffix("/refs")
    let isQuestion = below.hasSuffix("/gate")
    let limit = spec.webhook?.bodyLimit ?? GitSpec.bodyLimit
    return .read(bodyLimit: limit) { request in
      guard let body = try? JSON(parsing: request.body) else {
        host.countRefused(name, "body")
        return EventSources.refusal(400, "the body is not JSON")
      }
      if isQuestion { return answer(body) }
      return isReport ? await compare(body) : await receive(body)
    }
  }

  /// nil for hooks of this machine, and for those elsewhere that show the token.
  private func refusal(of head: RequestHead) -> Response? {
    guard let selector = spec.webhook?.authSecret else { return nil }
    let sent = ProofCheck.bearerToken(head.headers)
    do throws(SecretError) {
      let live = try host.secrets.liveSecrets(name: selector.name, key: selector.key)
      let fitting = live.map { constantTimeEquals($0.reveal(), sent) }
      guard let first = fitting.firstIndex(of: true) else {
        host.countRefused(name, "authorization")
        return EventSources.refusal(401, "the token is not the one of this source")
      }
      host.countVerified(name, usedPrevious: first > 0)
      return nil
    } catch {
      host.countRefused(name, "secret")
      return EventSources.refusal(500, "the server cannot check the token")
    }
  }

  // MARK: Pushes

  private func receive(_ body: JSON) async -> Response {
    guard let push = GitPush(body) else {
      host.countRefused(name, "body")
      return EventSources.refusal(400, "the body is no push")
    }
    let events = push.refs.enumerated().map { index, ref in
      event(push.id + " \(push.number)" + (index == 0 ? "" : " \(index)")) { writer in
        push.write(ref, to: &writer)
      }
    }
    do throws(SinkError) {
      let places = push.refs.map { Self.place($0.ref, $0.after) } + [Self.known]
      let stored = try await host.append(events, places: places, from: name)
      let isDuplicate = stored.allSatisfy(\.isDuplicate)
      return .json(isDuplicate ? 200 : 202, Array("{}\n".utf8))
    } catch {
      host.countRefused(name, "unavailable")
      return EventSources.refusal(503, "the push cannot be stored now")
    }
  }

  /// Whether a push may go on, which all of its refs decide together.
  private func answer(_ body: JSON) -> Response {
    guard let push = GitPush(body) else {
      host.countRefused(name, "body")
      return EventSources.refusal(400, "the body is no push")
    }
    for ref in push.refs {
      guard let gate else { break }
      var writer = JSONWriter()
      writer.object { push.write(ref, to: &$0) }
      switch gate.evaluate(writer.bytes) {
      case .pass: continue
      case .refused: return shut("\(ref.ref): the gate's expression does not hold")
      case .error(let why): return shut("\(ref.ref): the gate's expression fails: \(why)")
      }
    }
    let answer: JSON = ["allowed": true]
    return .json(200, answer.encoded())
  }

  private func shut(_ why: String) -> Response {
    host.countRefused(name, "gate")
    return EventSources.refusal(403, why)
  }

  /// - Parameter occurrence: what tells it from every other of this source.
  private func event(_ occurrence: String, _ data: (inout JSONWriter) -> Void) -> Event {
    var writer = JSONWriter()
    writer.object { writer in
      data(&writer)
      if !spec.metadata.isEmpty { writer.add("metadata", .object(spec.metadata)) }
    }
    return Event(
      id: Event.stableID(name.namespace, name.source, name.event, occurrence),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: Self.kind,
      subject: name.event,
      time: host.now(),
      data: writer.bytes
    )
  }

  /// What is noted of a ref: the commit it was last seen at.
  private static func place(_ ref: String, _ commit: String) -> SourcePlace {
    SourcePlace(
      key: "ref " + ref,
      value: Git.isZero(commit) ? Optional<JSON>.none : .string(commit)
    )
  }

  /// Tells that the refs were looked at before, also where there are none.
  private static let known = SourcePlace(key: "known", value: true)

  // MARK: What no hook told

  /// Compares the refs of a repository with what was last seen. A difference that is there twice
  /// was not a hook on its way.
  private func compare(_ body: JSON) async -> Response {
    guard case .object(let members)? = body["refs"], case .string(let id)? = body["id"] else {
      return EventSources.refusal(400, "the body is no report of refs")
    }
    var refs: [String: String] = [:]
    for member in members {
      if case .string(let commit) = member.value { refs[member.key] = commit }
    }
    let place = body["path"]?.asString ?? spec.repository ?? ""
    return await note(refs, repository: id, at: place, atOnce: false)
      ? .json(200, Array("{}\n".utf8)) : EventSources.refusal(503, "the refs cannot be noted now")
  }

  /// - Returns: false when nothing could be stored.
  /// - Parameter place: the repository's path or URL.
  private func note(
    _ refs: [String: String],
    repository: String,
    at place: String,
    atOnce: Bool
  ) async -> Bool {
    let places = host.places(of: name)
    var seen: [String: String] = [:]
    for (key, value) in places {
      if let ref = key.behind("ref "), case .string(let commit) = value { seen[ref] = commit }
    }
    let changes = RefChange.changes(from: seen, to: refs)
    let isKnown = places["known"] != nil
    if changes.isEmpty && isKnown {
      _ = gaps.isConfirmed([])
      return true
    }
    guard !isKnown || atOnce || gaps.isConfirmed(changes) else { return true }
    var events: [Event] = []
    var notes = changes.map { Self.place($0.ref, $0.after) } + [Self.known]
    if isKnown {
      let number = places["gaps"].flatMap { Int($0.text) } ?? 0
      notes.append(SourcePlace(key: "gaps", value: JSON(number + 1)))
      events = changes.map { change in
        let what = "\(repository) \(atOnce ? "poll" : "gap") \(number) \(change.ref)"
        return event(what) { writer in
          change.write(repository: GitPush.repository(place), isGap: !atOnce, to: &writer)
        }
      }
      if !atOnce {
        events.append(
          host.notice(
            "gap",
            id: "\(repository) \(number)",
            [.init(key: "refs", value: .array(changes.map { .string($0.ref) }))],
            about: name
          )
        )
      }
    }
    do throws(SinkError) {
      _ = try await host.append(events, places: notes, from: name)
      return true
    } catch { return false }
  }

  // MARK: Going round

  func run() async {
    // Hooks elsewhere come by themselves.
    if spec.webhook != nil { return }
    var isFirst = true
    while !Task.isCancelled {
      if let repository = spec.repository {
        await drain(repository, warns: isFirst)
      } else if let url = spec.url {
        await poll(url)
      }
      isFirst = false
      // A difference that may be a hook on its way is looked at again soon.
      let wait = gaps.isWaiting ? min(spec.interval, .seconds(3)) : spec.interval
      let share = Double(host.world.random() % 1000) / 1000 * spec.jitter
      await host.sleep(for: wait * (1 + share))
    }
  }

  private func drain(_ repository: String, warns: Bool) async {
    guard Files.kind(repository + "/signalbox/config.json") != nil else {
      if warns {
        host.log(
          .warning,
          "no hook is installed: run signalbox git install",
          [("source", "\(name)"), ("repository", repository)]
        )
      }
      return
    }
    let program = Program(
      path: "/proc/self/exe",
      arguments: ["signalbox", GitHook.drainArgument, repository],
      environment: Git.environment()
    )
    _ = await output(program)
  }

  private func poll(_ url: String) async {
    let program = Program(
      path: Git.path,
      arguments: ["git", "ls-remote", "--refs", "--quiet", "--", url],
      environment: Git.environment(
        sshCommand: spec.sshCommand,
        further: spec.authorities.map { ["GIT_SSL_CAINFO=" + $0] } ?? []
      )
    )
    guard let bytes = await output(program) else { return }
    var refs: [String: String] = [:]
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      let parts = line.split(separator: "\t", maxSplits: 1)
      guard parts.count == 2, Git.isCommit(String(parts[0])) else { continue }
      if parts[1].hasPrefix("refs/heads/") || parts[1].hasPrefix("refs/tags/") {
        refs[String(parts[1])] = String(parts[0])
      }
    }
    if await !note(refs, repository: url, at: url, atOnce: true) {
      host.log(.warning, "the refs could not be stored", [("source", "\(name)")])
    }
  }

  /// What a program prints; nil, and a line in the log, where it fails.
  private func output(_ program: Program) async -> [UInt8]? {
    var why = "took longer than a minute"
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let output = try FileDescriptor.memory("output", [])
      let errors = try FileDescriptor.memory("errors", [])
      let process = try program.start(descriptors: [null.raw, output.raw, errors.raw])
      let handle = try? ProcessHandle(process)
      await host.loop?.waitForEnd(of: handle, atMost: .seconds(60))
      var end = Processes.reap(process)?.end
      if end == nil {
        _ = kill(-process, SIGKILL)
        await host.loop?.waitForEnd(of: handle, atMost: .seconds(5))
        _ = Processes.reap(process)
        if Task.isCancelled { return nil }
      }
      if end == .exited(0) {
        _ = lseek(output.raw, 0, SEEK_SET)
        return try Files.readToEnd(output, program.path, limit: 64 << 20)
      }
      _ = lseek(errors.raw, 0, SEEK_SET)
      let text = try Files.readToEnd(errors, program.path, limit: 1 << 20)
      if let ended = end { why = "\(ended) " + String(decoding: text.suffix(500), as: UTF8.self) }
      end = nil
    } catch { why = "\(error)" }
    host.log(.warning, "git failed", [("source", "\(name)"), ("why", why)])
    return nil
  }
}

/// Remembers which differences were there at the last look.
private final class GapWatch: Sendable {
  private let last = Mutex<Set<RefChange>>([])

  var isWaiting: Bool { last.withLock { !$0.isEmpty } }

  /// Whether the same were there at the look before this one.
  func isConfirmed(_ changes: [RefChange]) -> Bool {
    last.withLock { last in
      let now = Set(changes)
      let isConfirmed = last == now && !now.isEmpty
      last = isConfirmed ? [] : now
      return isConfirmed
    }
  }
}
