import Expression
package import JSON
import Sensor

/// Which event is meant, and at which sensor: what `signalbox explain` and `signalbox events
/// replay` ask about.
package struct EventQuestion: Sendable {
  let event: String
  let source: String?
  let sensor: SensorID?

  /// - Parameter json: `event` (its id) and, if wanted, `source` and `sensor` (`NAME` or
  ///   `NAMESPACE/NAME`); nil for anything else.
  package init?(_ json: JSON) {
    guard case .string(let id)? = json["event"] else { return nil }
    event = id
    var names: [String: String] = [:]
    for key in ["source", "sensor"] {
      switch json[key] {
      case .string(let name)?: names[key] = name
      case nil, .null?: break
      default: return nil
      }
    }
    source = names["source"]
    sensor = names["sensor"].map(SensorID.init(asked:))
  }

  init?(_ request: [UInt8]) {
    guard let json = try? JSON(parsing: request) else { return nil }
    self.init(json)
  }
}

extension SensorID {
  /// `NAME`, of the namespace `default`, or `NAMESPACE/NAME`.
  init(asked name: String) {
    let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
    if parts.count == 2 {
      self.init(namespace: parts[0], name: parts[1])
    } else {
      self.init(namespace: "default", name: name)
    }
  }
}
