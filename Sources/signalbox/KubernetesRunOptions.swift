import ArgumentParser
import Server

/// `run`: manifests that are objects of a cluster.
struct KubernetesRunOptions: ParsableArguments {
  @Flag(
    help: """
      Take manifests from a cluster: EventSource, Sensor and EventBus objects are watched, loaded \
      like files, and told in their status how they stand.
      """
  )
  var kubernetes = false

  @Option(
    name: .customLong("namespace"),
    help: "A namespace whose objects are watched; may be repeated; default: all."
  )
  var namespaces: [String] = []

  @Option(
    name: .customLong("allow-command"),
    help: ArgumentHelp(
      """
      A namespace whose manifests may reach the machine: command triggers, file and git sources, \
      objects read from files.
      """,
      valueName: "namespace"
    )
  )
  var allowCommand: [String] = []

  @Option(
    name: .customLong("allow-namespace"),
    help: ArgumentHelp(
      """
      Lets manifests of NAMESPACE read and act in OTHER too; * means all, and objects outside \
      namespaces.
      """,
      valueName: "namespace=other"
    )
  )
  var allowNamespace: [String] = []

  @Flag(
    help: """
      Wait for an EventBus object with kafka, where otherwise the program runs on a log of its own \
      until it is started again.
      """
  )
  var kafkaBus = false

  /// What `run` takes beside these.
  func check(paths: [String], takeover: Bool) throws {
    let given = namespaces + allowCommand + allowNamespace
    guard kubernetes else {
      if !given.isEmpty || kafkaBus {
        throw ValidationError(
          "--namespace, --allow-command, --allow-namespace and --kafka-bus need --kubernetes"
        )
      }
      return
    }
    if paths != RunCommand.standardPaths {
      throw ValidationError("--kubernetes takes no files: found \(paths.joined(separator: " "))")
    }
    if takeover { throw ValidationError("--kubernetes and --takeover do not go together") }
    for name in namespaces + allowCommand where !isNamespace(name) {
      throw ValidationError("found '\(name)', expected the name of a namespace")
    }
    do throws(NamespaceGrantError) { _ = try options } catch {
      throw ValidationError("--allow-namespace: \(error)")
    }
  }

  /// nil: manifests are files.
  var options: KubernetesOptions? {
    get throws(NamespaceGrantError) {
      guard kubernetes else { return nil }
      var grants = NamespaceGrants()
      grants.machine = Set(allowCommand)
      try grants.allow(allowNamespace)
      return KubernetesOptions(
        namespaces: Array(Set(namespaces)).sorted(),
        grants: grants,
        needsKafka: kafkaBus
      )
    }
  }
}
