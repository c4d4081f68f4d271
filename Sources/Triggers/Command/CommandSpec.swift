package import Manifest
import Posix

/// The fields of a `command` trigger.
package struct CommandSpec: ManifestBlock, Sendable {
  enum Value: Sendable, Equatable {
    case text(String)
    case secret(SecretSelector)

    static func == (a: Value, b: Value) -> Bool {
      switch (a, b) {
      case (.text(let a), .text(let b)): a == b
      case (.secret(let a), .secret(let b)): a.name == b.name && a.key == b.key
      default: false
      }
    }
  }

  let argv: [String]
  let workingDirectory: String?
  let environment: [(name: String, value: Value)]
  let timeout: Duration
  let allowsOptions: Bool
  /// Whether a command whose end is unknown is run again.
  let reruns: Bool

  /// What the system takes: one argument or variable, and all of them (execve(2), with room).
  private static let entryBytes = 128 << 10
  private static let totalBytes = 1 << 20

  package init(from block: Block) {
    argv = Self.strings(block, "argv")
    workingDirectory = block.string("workingDirectory")
    environment = block.named("environment").compactMap { Self.variable($0, block) }
    timeout = block.duration("timeout") ?? .seconds(3600)
    allowsOptions = block.bool("allowOptions") ?? false
    let extra = block.block("signalbox")
    let onUnknown = extra?.string("onUnknown") ?? "report"
    reruns = onUnknown == "rerun"
    if onUnknown != "report" && onUnknown != "rerun" {
      extra?.error("onUnknown", "found '\(onUnknown)', expected report or rerun")
    }
    extra?.finish()
    block.accept("payload", "parameters")
    block.finish()
    check(block)
  }

  private static func strings(_ block: Block, _ key: String) -> [String] {
    guard let nodes = block.list(key), !nodes.isEmpty else {
      block.error(key, "found nothing, expected the program and its arguments as a list")
      return []
    }
    return nodes.enumerated().map { index, node in
      if case .string(let text) = node.value { return text }
      block.error("\(key)[\(index)]", "found \(node.kindName), expected a string")
      return ""
    }
  }

  private static func variable(
    _ entry: Node.Entry,
    _ block: Block
  ) -> (name: String, value: Value)? {
    let field = "environment.\(entry.key)"
    let isName =
      !entry.key.isEmpty && entry.key.utf8.first.map { !(0x30...0x39).contains($0) } == true
      && entry.key.utf8.allSatisfy { $0 == 0x5f || isLetterOrDigit($0) }
    if !isName {
      block.error(field, "found '\(entry.key)', expected a name of letters, digits and '_'")
    }
    if entry.key.hasPrefix("SIGNALBOX_") {
      block.error(field, "found '\(entry.key)'; names that begin with SIGNALBOX_ are ours")
    }
    switch entry.node.value {
    case .string(let text): return (entry.key, .text(text))
    case .mapping:
      let value = Block(entry.node, path: block.child(field), block.diagnostics)
      let from = value.block("valueFrom")
      if from == nil {
        value.error("valueFrom", "found nothing, expected valueFrom: {secretKeyRef: {name, key}}")
      }
      let selector = from?.secret("secretKeyRef")
      if from != nil && selector == nil {
        from?.error("secretKeyRef", "found nothing, expected {name, key}")
      }
      from?.finish()
      value.finish()
      return selector.map { (entry.key, .secret($0)) }
    default:
      block.error(field, "found \(entry.node.kindName), expected a string or valueFrom")
      return nil
    }
  }

  private func check(_ block: Block) {
    if argv.first == "" { block.error("argv[0]", "found an empty string, expected a program") }
    if timeout <= .zero { block.error("timeout", "found \(timeout), expected more than nothing") }
    if workingDirectory?.isEmpty == true {
      block.error("workingDirectory", "found an empty string, expected a folder")
    }
    var texts = argv.enumerated().map { ("argv[\($0.offset)]", $0.element) }
    if let workingDirectory { texts.append(("workingDirectory", workingDirectory)) }
    for (name, value) in environment {
      if case .text(let text) = value { texts.append(("environment.\(name)", text)) }
    }
    for (field, text) in texts {
      if text.utf8.contains(0) { block.error(field, "holds a NUL, which no program can be given") }
      if text.utf8.count >= Self.entryBytes {
        block.error(field, "found \(text.utf8.count) bytes, expected less than \(Self.entryBytes)")
      }
    }
    let total = texts.reduce(0) { $0 + $1.1.utf8.count }
    if total > Self.totalBytes {
      block.error("argv", "found \(total) bytes with the environment, expected \(Self.totalBytes)")
    }
  }

  // MARK: What senders of events may choose

  /// Only whole arguments and values of variables that the manifest names.
  static func refusal(ofParameter destination: String) -> String? {
    let parts = destination.split(separator: ".", omittingEmptySubsequences: false)
    if parts.count == 2, parts[0] == "argv" {
      if parts[1] == "-1" { return nil }
      if let index = Int(parts[1]), index > 0, String(index) == parts[1] { return nil }
    }
    if parts.count == 2, parts[0] == "environment", !parts[1].isEmpty,
      parts[1].utf8.allSatisfy({ $0 == 0x5f || isLetterOrDigit($0) })
    {
      return nil
    }
    return "found '\(destination)', expected argv.N with N from 1 on, argv.-1 to append, or "
      + "environment.NAME: the program, its folder and the names of variables are not for events"
  }

  /// Checks what parameters made of `original`.
  func check(against original: CommandSpec, _ block: Block) {
    if argv.first != original.argv.first || workingDirectory != original.workingDirectory
      || timeout != original.timeout || reruns != original.reruns
      || allowsOptions != original.allowsOptions
      || environment.map(\.name) != original.environment.map(\.name)
    {
      block.error(nil, "a parameter changed what only the manifest may say")
    }
    for (before, after) in zip(original.environment, environment) {
      if case .secret = before.value, before.value != after.value {
        block.error("environment.\(after.name)", "a parameter may not replace a secret")
      }
    }
    if allowsOptions { return }
    for (index, argument) in argv.enumerated() where argument.hasPrefix("-") {
      let written = original.argv.indices.contains(index) ? original.argv[index] : nil
      // What the manifest begins with an option's name and `=` stays that option's value.
      let isValue = written.map { $0.hasSuffix("=") && argument.hasPrefix($0) } ?? false
      if written == argument || isValue || argv[index - 1] == "--" { continue }
      block.error(
        "argv[\(index)]",
        "found a value from an event that begins with '-', which programs take for an option; "
          + "put '--' before it or say allowOptions: true"
      )
    }
  }
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
  (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
}
