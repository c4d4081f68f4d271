import Event
import JSON
import KafkaClient
package import Manifest
package import Plugin

/// `kafka`: one message to a topic (spec section 4.4). Its delivery report decides the outcome.
///
/// Each message carries the firing's id as the header `idempotency-key`, so that a repetition after
/// a crash can be told from a second effect, and `signalbox-cause`, by which a `kafka` event source
/// of the same installation continues the chain of causes.
package struct KafkaTrigger: Trigger {
  package static let kind = "kafka"
  package static let concurrency = 1024
  package static let runsPrograms = false

  private let spec: KafkaTriggerSpec
  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    KafkaTriggerSpec.refusal(ofParameter: destination)
  }

  package init(
    _ spec: KafkaTriggerSpec,
    original: KafkaTriggerSpec?,
    host: any TriggerHost,
    _ block: Block
  ) {
    self.spec = spec
    self.host = host
    // What an event chooses is no part of the connection.
    if original == nil { spec.connection.check(host.secrets, block) }
    for (_, selector) in spec.secureHeaders {
      do throws(SecretError) {
        _ = try host.secrets.secret(name: selector.name, key: selector.key)
      } catch { block.error("secureHeaders", "\(error)") }
    }
  }

  package func fire(_ firing: Firing) async -> Outcome {
    let mask = SecretMask(secretValues())
    do {
      let settings = try spec.connection.settings(host.secrets)
      let (connection, secrets) = (spec.connection, host.secrets)
      let receipt = try await host.send(try record(firing), settings, mask: mask) {
        try connection.token(secrets)
      }
      var result: [JSON.Member] = [
        .init(key: "topic", value: .string(spec.topic)),
        .init(key: "partition", value: JSON(Int(receipt.partition))),
      ]
      if let offset = receipt.offset {
        result.append(.init(key: "offset", value: JSON(Int(offset))))
      }
      return .done(result: .object(result))
    } catch let error as KafkaError {
      let why = mask.applied(to: "\(spec.topic): \(error)")
      let result: JSON = ["topic": .string(spec.topic), "error": .string(error.name)]
      return error.isLasting
        ? .reject(why: why, result: result) : .retry(after: nil, why: why, result: result)
    } catch let error as KafkaSettingError {
      return .reject(why: mask.applied(to: "\(error)"), result: .null)
    } catch {
      return .retry(after: nil, why: mask.applied(to: "\(error)"), result: .null)
    }
  }

  private func record(_ firing: Firing) throws(SecretError) -> KafkaRecord {
    var headers = spec.headers.map { KafkaHeader(name: $0.name, value: Array($0.value.utf8)) }
    for (name, selector) in spec.secureHeaders {
      let secret = try host.secrets.secret(name: selector.name, key: selector.key)
      headers.removeAll { $0.name == name }
      headers.append(KafkaHeader(name: name, value: secret.reveal()))
    }
    headers.append(KafkaHeader(name: "idempotency-key", value: Array(firing.id.text.utf8)))
    let cause = host.causeHeader(firing)
    headers.append(KafkaHeader(name: "signalbox-cause", value: Array(cause.utf8)))
    return KafkaRecord(
      topic: spec.topic,
      key: spec.key.map { Array($0.utf8) },
      value: firing.payload ?? [],
      headers: headers
    )
  }

  private func secretValues() -> [[UInt8]] {
    spec.connection.secretValues(host.secrets)
      + spec.secureHeaders.compactMap {
        try? host.secrets.secret(name: $0.selector.name, key: $0.selector.key).reveal()
      }
  }
}
