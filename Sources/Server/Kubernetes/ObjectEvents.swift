import Cluster
import JSON
import Logging
import TLS

/// Kubernetes events about our objects. The same thing told again counts up one event, whichever
/// process tells it: its name is made of what it says.
struct ObjectEvents: Sendable {
  /// Bytes of a message that events take.
  private static let messageMax = 1000
  private static let component = "signalbox"

  /// An event that cannot be written is said in the log and given up: the status has told it.
  func tell(
    _ conditions: StatusConditions,
    of object: JSON,
    _ client: ClusterClient,
    now: String,
    _ logger: Logger
  ) async {
    let event = event(conditions, of: object, now: now)
    let (namespace, name) = (conditions.verdict.key.namespace, event.name)
    do throws(ClusterError) {
      let type = try await client.resource("v1", kind: "Event")
      do throws(ClusterError) {
        _ = try await client.create(type, namespace: namespace, event.json)
      } catch {
        guard error.isAlreadyExists else { throw error }
        let old = try await client.get(type, namespace: namespace, name: name)
        _ = try await client.patch(
          type,
          namespace: namespace,
          name: name,
          .merge,
          ["count": JSON((old["count"]?.wholeNumber ?? 1) + 1), "lastTimestamp": .string(now)]
        )
      }
    } catch {
      logger.info(
        "a Kubernetes event could not be written",
        metadata: ["object": "\(conditions.verdict.key)", "error": "\(error)"]
      )
    }
  }

  private func event(
    _ conditions: StatusConditions,
    of object: JSON,
    now: String
  ) -> (name: String, json: JSON) {
    let key = conditions.verdict.key
    let isGood = conditions.verdict.errors.isEmpty
    var message = conditions.message
    if message.isEmpty { message = "generation \(conditions.verdict.generation) is in force" }
    var bytes = Array(message.utf8.prefix(Self.messageMax))
    while let last = bytes.last, String(validating: bytes, as: UTF8.self) == nil, last >= 0x80 {
      bytes.removeLast()
    }
    message = String(decoding: bytes, as: UTF8.self)
    let said = [conditions.verdict.uid, conditions.reason, message].joined(separator: "\n")
    let digest = hexadecimal(SHA256.digest(Array(said.utf8)).prefix(8))
    let name = "\(key.name.prefix(200)).\(digest)"
    return (
      name,
      [
        "apiVersion": "v1", "kind": "Event",
        "metadata": ["name": .string(name), "namespace": .string(key.namespace)],
        "involvedObject": [
          "apiVersion": .string(ClusterDocument.apiVersion), "kind": .string(key.kind),
          "namespace": .string(key.namespace), "name": .string(key.name),
          "uid": .string(conditions.verdict.uid),
          "resourceVersion": object.at("metadata", "resourceVersion") ?? "",
        ],
        "type": isGood ? "Normal" : "Warning",
        "reason": .string(conditions.reason),
        "message": .string(message),
        "source": ["component": .string(Self.component)],
        "reportingComponent": .string(Self.component),
        "reportingInstance": "",
        "firstTimestamp": .string(now), "lastTimestamp": .string(now),
        "count": 1,
      ]
    )
  }
}
