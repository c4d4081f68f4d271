/// Why `signalbox.librdkafka` may not set a property; nil for those it may.
func refusedKafkaProperty(_ name: String) -> String? {
  switch name {
  case "bootstrap.servers", "metadata.broker.list": "is what url says"
  case "group.id": "is what consumerGroup.groupName says"
  case "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "auto.commit.enable",
    "auto.commit.interval.ms", "offset.store.method", "offset.store.path",
    "offset.store.sync.interval.ms":
    "is not open to change: offsets are committed once their events are on the log"
  case "enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm":
    "is not open to change: certificates are always verified"
  case "security.protocol", "sasl.mechanism", "sasl.mechanisms":
    "is what tls and sasl say"
  case "sasl.username", "sasl.password": "is what sasl.userSecret and sasl.passwordSecret say"
  case "plugin.library.paths", "ssl.engine.location", "ssl.providers", "sasl.kerberos.kinit.cmd":
    "is not open to change: it runs programs or loads libraries"
  case "transactional.id": "is not supported yet"
  case "log.queue", "opaque", "enabled_events", "test.mock.num.brokers", "interceptors",
    "default_topic_conf", "open_cb", "socket_cb", "connect_cb", "closesocket_cb", "resolve_cb",
    "background_event_cb", "socket.blocking.max.ms", "consume.callback.max.messages",
    "internal.termination.signal":
    "is not open to change"
  default:
    name.hasSuffix("_cb") ? "is not open to change" : nil
  }
}

/// Properties whose value must not stand in a manifest.
let secretKafkaProperties: Set<String> = [
  "ssl.key.password", "ssl.key.pem", "ssl.keystore.password", "ssl_key",
  "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
]

/// Whether brokers take it as the name of a topic.
package func isKafkaTopic(_ text: String) -> Bool {
  !text.isEmpty && text.utf8.count <= 249 && text != "." && text != ".."
    && text.utf8.allSatisfy { byte in
      (0x61...0x7a).contains(byte) || (0x41...0x5a).contains(byte) || (0x30...0x39).contains(byte)
        || byte == 0x2d || byte == 0x2e || byte == 0x5f
    }
}
