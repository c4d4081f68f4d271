import CRdKafka

/// Properties of a Kafka client, by librdkafka's names. Values may be secrets: they have no
/// printed form.
package struct KafkaSettings: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  private var properties: [String: String]

  package init(_ properties: [String: String] = [:]) { self.properties = properties }

  package subscript(_ name: String) -> String? {
    get { properties[name] }
    set { properties[name] = newValue }
  }

  /// Adds what `others` has; its values replace ours.
  package mutating func merge(_ others: KafkaSettings) {
    properties.merge(others.properties) { $1 }
  }

  /// The names without the values.
  package var description: String { properties.keys.sorted().joined(separator: " ") }
  package var customMirror: Mirror { Mirror(self, children: []) }

  package enum Role: Sendable { case consumer, producer }

  /// Tries the properties, each by itself and all together, certificates and keys included. Talks
  /// to nobody.
  /// - Throws: `KafkaSettingError` with librdkafka's words, which do not quote values.
  package func check(as role: Role) throws(KafkaSettingError) {
    _ = try ClientConfiguration(properties)
    var offline = self
    for name in ["bootstrap.servers", "metadata.broker.list"] { offline[name] = nil }
    // It would begin to fetch tokens.
    offline["sasl.oauthbearer.method"] = nil
    // Its remarks on what is missing would go to standard error.
    offline["log.queue"] = "true"
    let client = try unsafe offline.makeClient(role)
    unsafe rd_kafka_destroy_flags(client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
  }

  /// Makes librdkafka's client, whose threads run from here on; the caller destroys it.
  /// - Parameter prepare: is lent the configuration to add callbacks to.
  @unsafe func makeClient(
    _ role: Role,
    _ prepare: (OpaquePointer) -> Void = { _ in }
  ) throws(KafkaSettingError) -> OpaquePointer {
    let configuration = try ClientConfiguration(properties)
    unsafe prepare(configuration.raw)
    var words = [CChar](repeating: 0, count: 512)
    let kind = role == .consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER
    guard let client = unsafe rd_kafka_new(kind, configuration.raw, &words, words.count) else {
      throw KafkaSettingError(nil, masked(text(words), properties.values))
    }
    configuration.release()
    return unsafe client
  }
}

/// librdkafka's configuration until a client takes it.
@safe private struct ClientConfiguration: ~Copyable {
  let raw: OpaquePointer

  /// - Throws: `KafkaSettingError` for the first property, by name, that does not exist or does
  ///   not take its value.
  init(_ properties: [String: String]) throws(KafkaSettingError) {
    unsafe raw = unsafe rd_kafka_conf_new()
    var words = [CChar](repeating: 0, count: 512)
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
      let code = unsafe rd_kafka_conf_set(raw, name, value, &words, words.count)
      if code != RD_KAFKA_CONF_OK {
        throw KafkaSettingError(name, masked(text(words), [value]))
      }
    }
  }

  /// A client has taken it.
  consuming func release() { discard self }

  deinit { unsafe rd_kafka_conf_destroy(raw) }
}

/// librdkafka's words may quote a value.
private func masked(_ words: String, _ values: some Sequence<String>) -> String {
  values.filter { $0.utf8.count >= 4 }.sorted { $0.utf8.count > $1.utf8.count }
    .reduce(words) { $0.replacing($1, with: "...") }
}

/// The text of a buffer that C wrote to.
func text(_ buffer: [CChar]) -> String {
  String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
