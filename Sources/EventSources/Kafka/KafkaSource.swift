import JSON
import KafkaClient
package import Manifest
package import Plugin
import Posix

/// `kafka`: messages of topics (spec section 2.5).
///
/// The position in each partition is on the log, written behind the events of the same append;
/// brokers are told only afterwards. So what a crash leaves is read again, known by its id and
/// skipped.
package struct KafkaSource: EventSource {
  package static let kind = "kafka"
  private let spec: KafkaSpec
  private let name: EventSourceName
  private let host: any SourceHost

  package init(_ spec: KafkaSpec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    self.spec = spec
    self.name = name
    self.host = host
    spec.connection.check(host.secrets, block)
  }

  /// Who may write to the topic is for the brokers to say.
  package var isAuthenticated: Bool { true }

  package func run() async {
    guard let loop = host.loop, spec.reading != nil else { return }
    var wait = Duration.seconds(1)
    while !Task.isCancelled {
      let began = MonotonicTime.now()
      do {
        let settings = try spec.connection.settings(host.secrets)
        let consumer = try KafkaConsumer(settings, loop: loop, observer: observer)
        let reader = KafkaReader(spec, settings, name, host, consumer)
        let failure = await reader.run()
        if await !consumer.close() {
          note(
            .warning,
            "a Kafka client did not end in time; its group notices by the session timeout"
          )
        }
        guard let failure else { continue }
        throw failure
      } catch {
        if Task.isCancelled { return }
        note(.error, "reading stopped and begins anew: \(error)")
        // A consumer that has worked for a while is replaced soon.
        if MonotonicTime.now() - began > .seconds(60) { wait = .seconds(1) }
        await host.sleep(for: wait)
        wait = min(wait * 2, .seconds(60))
      }
    }
  }

  private func note(_ level: SourceLogLevel, _ line: String) {
    let mask = SecretMask(spec.connection.secretValues(host.secrets))
    host.log(level, mask.applied(to: line), [("source", name.description)])
  }

  private var observer: KafkaObserver {
    let (host, name, connection) = (host, name, spec.connection)
    let me = self
    return KafkaObserver(
      log: { level, line in
        switch level {
        case .info: me.note(.info, line)
        case .warning: me.note(.warning, line)
        case .error: me.note(.error, line)
        }
      },
      failed: { host.show(.errors($0), from: name) },
      throttled: { _, wait in
        host.show(.number("throttleSeconds", of: "broker", wait.inSeconds), from: name)
      },
      statistics: { json in
        for (statistic, value) in kafkaStatistics(json) {
          host.show(.number(statistic, of: "client", value), from: name)
        }
      },
      token: { try connection.token(host.secrets) }
    )
  }
}
