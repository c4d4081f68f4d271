import Manifest

/// `config`: the YAML of Sarama's configuration that Argo Events reads. What librdkafka has too is
/// carried over, the rest is refused by name.
enum SaramaConfig {
  enum Value {
    case text
    /// Bytes or a count.
    case number
    /// Nanoseconds as a number, or a Go duration; written as milliseconds.
    case duration
    /// As a duration; more than none switches something on.
    case isPositive
    /// 0 or `ReadUncommitted`, 1 or `ReadCommitted`.
    case isolation
    /// -1 newest, -2 oldest.
    case initialOffset
    case boolean
  }

  struct Row {
    /// The path in lower case: names are found whatever their case, as there.
    let path: String
    let property: String
    let value: Value
  }

  /// The table of `deploy/docs/kafka.md`.
  static let rows = [
    Row(path: "clientid", property: "client.id", value: .text),
    Row(path: "rackid", property: "client.rack", value: .text),
    Row(path: "net.maxopenrequests", property: "max.in.flight", value: .number),
    Row(path: "net.dialtimeout", property: "socket.connection.setup.timeout.ms", value: .duration),
    Row(path: "net.readtimeout", property: "socket.timeout.ms", value: .duration),
    Row(path: "net.keepalive", property: "socket.keepalive.enable", value: .isPositive),
    Row(
      path: "metadata.refreshfrequency",
      property: "topic.metadata.refresh.interval.ms",
      value: .duration
    ),
    Row(path: "metadata.retry.backoff", property: "retry.backoff.ms", value: .duration),
    Row(
      path: "metadata.allowautotopiccreation",
      property: "allow.auto.create.topics",
      value: .boolean
    ),
    Row(path: "consumer.fetch.min", property: "fetch.min.bytes", value: .number),
    Row(path: "consumer.fetch.default", property: "fetch.message.max.bytes", value: .number),
    Row(path: "consumer.fetch.max", property: "fetch.max.bytes", value: .number),
    Row(path: "consumer.maxwaittime", property: "fetch.wait.max.ms", value: .duration),
    Row(path: "consumer.isolationlevel", property: "isolation.level", value: .isolation),
    Row(path: "consumer.offsets.initial", property: "", value: .initialOffset),
    Row(path: "consumer.group.session.timeout", property: "session.timeout.ms", value: .duration),
    Row(
      path: "consumer.group.heartbeat.interval",
      property: "heartbeat.interval.ms",
      value: .duration
    ),
    Row(
      path: "consumer.group.rebalance.timeout",
      property: "max.poll.interval.ms",
      value: .duration
    ),
    Row(path: "consumer.group.instanceid", property: "group.instance.id", value: .text),
  ]

  struct Setting {
    let path: String
    let property: String
    let value: String
  }

  /// Reads the text; problems go to `block` at `config`.
  static func settings(_ block: Block) -> [Setting] {
    guard let text = block.string("config"), !text.isEmpty else { return [] }
    let problems = Diagnostics()
    let documents = yamlDocuments(text, file: "config", problems)
    for problem in problems.all {
      block.error("config", "line \(problem.mark.line): \(problem.message)")
    }
    guard documents.count <= 1 else {
      block.error("config", "found \(documents.count) YAML documents, expected one")
      return []
    }
    var found: [Setting] = []
    for root in documents { collect(root, "", block, &found) }
    return found
  }

  private static func collect(
    _ node: Node,
    _ path: String,
    _ block: Block,
    _ found: inout [Setting]
  ) {
    if case .mapping(let entries) = node.value {
      for entry in entries {
        collect(entry.node, path.isEmpty ? entry.key : "\(path).\(entry.key)", block, &found)
      }
      return
    }
    guard let row = rows.first(where: { $0.path == path.lowercased() }) else {
      let what =
        path.isEmpty
        ? "found \(node.kindName), expected a mapping" : "\(path) has no equivalent here"
      return block.error("config", "\(what); see signalbox.librdkafka")
    }
    guard let value = converted(node, row.value) else {
      return block.error("config", "\(path): found \(node.kindName), which it cannot be")
    }
    found.append(Setting(path: row.path, property: row.property, value: value))
  }

  private static func converted(_ node: Node, _ kind: Value) -> String? {
    switch (kind, node.value) {
    case (.text, .string(let text)): text
    case (.number, .number(let text)): Int(text).map { String($0) }
    case (.boolean, .bool(let value)): "\(value)"
    case (.duration, _): duration(node).map { String($0 / 1_000_000) }
    case (.isPositive, _): duration(node).map { "\($0 > 0)" }
    case (.isolation, .number("0")), (.isolation, .string("ReadUncommitted")): "read_uncommitted"
    case (.isolation, .number("1")), (.isolation, .string("ReadCommitted")): "read_committed"
    case (.initialOffset, .number("-1")): "newest"
    case (.initialOffset, .number("-2")): "oldest"
    default: nil
    }
  }

  /// Nanoseconds.
  private static func duration(_ node: Node) -> Int64? {
    switch node.value {
    case .number(let text): Int64(text).flatMap { $0 >= 0 ? $0 : nil }
    case .string(let text):
      Duration(goDuration: text).map {
        $0.components.seconds * 1_000_000_000 + $0.components.attoseconds / 1_000_000_000
      }
    default: nil
    }
  }
}
