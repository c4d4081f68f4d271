import ArgumentParser
import Glibc
import HTTPClient
import JSON
import Logging
import Manifest
import Observe
import Posix
import Server

/// `signalbox run`: the bus itself.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract:
      "Run the event sources and sensors of manifests, which are files or objects of a cluster."
  )

  @Argument(help: "Manifest files and folders.")
  var paths = Self.standardPaths

  static let standardPaths = ["eventsources", "sensors"]

  @OptionGroup var folder: DataOption
  @OptionGroup var secrets: SecretsOption
  @OptionGroup var compat: CompatOption

  @Option(help: "The address event sources listen on.")
  var listen = "::"

  @Option(help: "The address and port of the console.")
  var console = "127.0.0.1:12080"

  @Option(help: "MiB that the bodies of requests may take together; beyond: 503.")
  var bodyMemory = 64

  @Option(help: "Firings in a chain before it is cut.")
  var hops = 16

  @Option(help: "An address, a range or a host that requests may go to although an event chose it.")
  var allowOutbound: [String] = []

  @OptionGroup(title: "Clients") var clients: ClientOptions

  @Flag(inversion: .prefixedNo, help: "Read manifests anew when their files change.")
  var watch = true

  @Flag(
    help: """
      Take the place of the program that runs on the data folder: receive its listening sockets, \
      have it finish and stop, and go on where it stopped. Connections wait meanwhile.
      """
  )
  var takeover = false

  @Option(
    help: "The kubeconfig of the cluster; default: that of KUBECONFIG, of the pod, of kubectl."
  )
  var kubeconfig: String?

  @OptionGroup(title: "Kubernetes") var kubernetes: KubernetesRunOptions

  @Option(help: "The least level that is logged: debug, info, warning or error.")
  var logLevel = "info"

  @Option(help: "How log lines are written: text or json.")
  var logFormat = "text"

  func validate() throws {
    if LogFormat(rawValue: logFormat) == nil {
      throw ValidationError("--log-format is text or json")
    }
    guard (1...(1 << 20)).contains(bodyMemory) else {
      throw ValidationError("--body-memory is from 1 to 1048576 MiB")
    }
    guard (1...1000).contains(hops) else { throw ValidationError("--hops is from 1 to 1000") }
    if Logger.Level(rawValue: logLevel) == nil {
      throw ValidationError("--log-level is debug, info, warning or error")
    }
    do throws(AllowListError) { _ = try AllowList(parsing: allowOutbound) } catch {
      throw ValidationError("--allow-outbound: \(error)")
    }
    try kubernetes.check(paths: paths, takeover: takeover)
    if consoleParts == nil { throw ValidationError("--console is ADDRESS:PORT") }
  }

  private var consoleParts: (address: String, port: Int)? {
    guard let colon = console.lastIndex(of: ":"),
      let port = Int(console[console.index(after: colon)...]), (0...65535).contains(port)
    else { return nil }
    return (console[..<colon].filter { $0 != "[" && $0 != "]" }, port)
  }

  func run() async throws {
    Signals.ignoreBrokenPipes()
    try raiseDescriptorLimit()
    let stop = try Signals.descriptor([SIGINT, SIGTERM])
    let reload = try Signals.descriptor([SIGHUP])
    let handler = LineLogHandler(
      label: "signalbox",
      level: Logger.Level(rawValue: logLevel) ?? .info,
      format: LogFormat(rawValue: logFormat) ?? .text,
      isColoured: LogOutput.standardError.wantsColour,
      output: .standardError,
      now: wallClockNanoseconds
    )
    let logger = Logger(label: "signalbox") { _ in handler }
    guard let console = consoleParts else { return }
    do {
      var configuration = Server.Configuration(
        manifests: kubernetes.kubernetes ? [] : paths,
        data: folder.data,
        secrets: secrets.secrets,
        address: listen,
        consoleAddress: console.address,
        consolePort: console.port,
        hopLimit: hops,
        allowOutbound: try AllowList(parsing: allowOutbound)
      )
      configuration.takesOver = takeover
      configuration.watchesManifests = watch
      configuration.bodyMemoryBytes = bodyMemory << 20
      configuration.kubeconfig = kubeconfig
      configuration.kubernetes = try kubernetes.options
      clients.apply(to: &configuration)
      configuration.compat = compat.value
      try await Server.run(
        configuration,
        logger: logger,
        stop: stop,
        reload: reload,
        report: { Self.write($0) }
      )
    } catch is Server.Refused {
      Self.write("not started: the manifests have errors")
      throw ExitCode(1)
    }
  }

  /// A line at once, also where standard output is a file.
  static func write(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = unsafe Glibc.write(1, bytes, bytes.count)
  }
}

/// `signalbox validate`: what is wrong with manifests.
struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate",
    abstract: "Report every problem of manifests. Exit status 1 if there is an error."
  )

  @Argument(help: "Manifest files and folders.")
  var paths: [String]

  @OptionGroup var secrets: SecretsOption
  @OptionGroup var compat: CompatOption

  @Option(help: "Also list where the manifests do something else than in argo-1.9.")
  var compare: String?

  func validate() throws {
    if let compare, compare != "argo-1.9" {
      throw ValidationError("--compare: found '\(compare)', expected argo-1.9")
    }
  }

  func run() throws {
    let found = Server.validate(paths, secrets: secrets.secrets, compat: compat.value)
    for diagnostic in found { print(diagnostic) }
    if compare != nil {
      let contrasts = Server.contrasts(paths, compat: compat.value)
      for contrast in contrasts { print(contrast) }
      let count = contrasts.count
      print("\(count) place\(count == 1 ? "" : "s") where Argo Events 1.9 does something else")
    }
    if found.contains(where: { $0.severity == .error }) { throw ExitCode(1) }
  }
}

/// `signalbox reload`: the manifests of a running program, read anew.
struct ReloadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reload",
    abstract: "Have the running program read its manifests anew.",
    discussion: "With an error in them the old ones stay in force. SIGHUP does the same."
  )

  @OptionGroup var folder: DataOption

  func run() throws {
    let body = try ControlSocket(folder).post("/reload")
    if case .array(let messages)? = body["messages"] {
      for case .string(let message) in messages { print(message) }
    }
    guard body["reloaded"] == .bool(true) else {
      print("not reloaded; the old manifests stay in force")
      throw ExitCode(1)
    }
    print("reloaded")
  }
}
