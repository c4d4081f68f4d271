import Cluster
import Event
import JSON
import Plugin
import Posix

/// Objects that are named or marked by the firing that makes them, so that a repetition finds what
/// is there and makes nothing twice.
struct KeyedObject {
  /// The label that holds the firing's id.
  static let label = "signalbox/firing"
  /// How long an object without a TTL of its own is taken to be there at the least.
  static let shortestLifeSeconds = 300

  let client: ClusterClient
  let type: ResourceType
  let namespace: String
  let firing: Firing
  let claim: Claim

  /// What came of a create.
  enum Made {
    case object(JSON)
    /// It may have been made and deleted since.
    case unknown(String)
    /// Somebody else's object has the name.
    case foreign(String)
  }

  /// `object` with its name and marks. A `generateName` becomes a name that ends in the firing's
  /// id, short enough to be a label.
  func keyed(_ object: JSON, now: Timestamp) -> JSON {
    var object = object
    if object.at("metadata", "name")?.asString?.isEmpty ?? true {
      let base = object.at("metadata", "generateName")?.asString ?? "\(firing.trigger)-"
      object.set(.string(String(base.prefix(30)) + firing.id.text), at: "metadata", "name")
    }
    object.set(nil, at: "metadata", "generateName")
    object.set(nil, at: "metadata", "resourceVersion")
    object.set(nil, at: "metadata", "uid")
    object.set(.string(firing.id.text), at: "metadata", "labels", Self.label)
    let own = "events.argoproj.io/"
    object.set(.string(firing.sensor), at: "metadata", "labels", own + "sensor")
    object.set(.string(firing.trigger), at: "metadata", "labels", own + "trigger")
    let milliseconds = now.nanoseconds / 1_000_000
    object.set(.string("\(milliseconds)"), at: "metadata", "labels", own + "action-timestamp")
    return object
  }

  /// Creates the object once for the firing.
  /// - Parameter lifeSeconds: how long it is sure to be there once it is made.
  /// - Throws: `ClusterError`, or what keeps the claim from being read or written.
  func create(_ object: JSON, lifeSeconds: Int?) async throws -> Made {
    let name = object.at("metadata", "name")?.asString ?? ""
    if let note = try claim.read() {
      do throws(ClusterError) {
        return check(try await client.get(type, namespace: namespace, name: name))
      } catch { if !error.isNotFound { throw error } }
      let life = lifeSeconds ?? Self.shortestLifeSeconds
      let age = wallClockNanoseconds() / 1_000_000_000 - Int64(note["second"]?.wholeNumber ?? 0)
      // It cannot have been made, ended and deleted in so short a time.
      guard age >= 0, age < Int64(life) else {
        return .unknown(
          "\(type.kind) \(namespace)/\(name) may have been made \(age) s ago and deleted since: it "
            + "is not made again"
        )
      }
    } else {
      try claim.write(["second": JSON(Int(wallClockNanoseconds() / 1_000_000_000))])
    }
    do throws(ClusterError) {
      return .object(try await client.create(type, namespace: namespace, object))
    } catch {
      guard error.isAlreadyExists || error.isUncertain else { throw error }
      let first = error
      do throws(ClusterError) {
        return check(try await client.get(type, namespace: namespace, name: name))
      } catch { throw error.isNotFound ? first : error }
    }
  }

  private func check(_ found: JSON) -> Made {
    if found.at("metadata", "labels", Self.label) == .string(firing.id.text) {
      return .object(found)
    }
    let name = found.at("metadata", "name")?.asString ?? ""
    return .foreign("\(type.kind) \(namespace)/\(name) is there already and is not of this firing")
  }
}

extension Outcome {
  /// What a refusal of the cluster means for an attempt.
  init(_ error: any Error) {
    guard let error = error as? ClusterError else {
      self = .retry(after: nil, why: "\(error)", result: .null)
      return
    }
    var result: JSON = .null
    if error.code != 0 {
      result = ["status": JSON(error.code), "reason": .string(error.reason)]
    }
    self =
      error.isTransient
      ? .retry(after: error.retryAfter, why: error.description, result: result)
      : .reject(why: error.description, result: result)
  }
}

/// Names what was made or changed, for outcomes and for those who follow it.
func reference(_ object: JSON, _ type: ResourceType) -> JSON {
  [
    "apiVersion": .string(type.apiVersion), "kind": .string(type.kind),
    "namespace": object.at("metadata", "namespace") ?? "",
    "name": object.at("metadata", "name") ?? "", "uid": object.at("metadata", "uid") ?? "",
  ]
}
