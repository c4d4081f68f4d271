/// One behaviour of Argo Events that is doubtful: here it is what the author meant, and with
/// `compat: argo-1.9` what Argo Events did. Each has a section in deploy/docs/compatibility.md.
package enum Difference: String, Sendable, CaseIterable {
  case filterErrors = "filter-errors"
  case dataValues = "data-values"
  case exprFields = "expr-fields"
  case timeBounds = "time-bounds"
  case conditionNames = "condition-names"
  case cronHours = "cron-hours"
  case unjudgedEvents = "unjudged-events"
  case retries = "retries"
  case httpStatus = "http-status"
  case messageParameters = "message-parameters"
  case logInterval = "log-interval"
  case rateBurst = "rate-burst"
  case sourceFilters = "source-filters"

  /// Those that an event source may ask for.
  package static let ofEventSources: [Difference] = [.cronHours, .sourceFilters]
  /// Those that a sensor may ask for.
  package static let ofSensors = allCases.filter { $0 != .sourceFilters }
}

/// Which differences are read as Argo Events 1.9 did.
package struct Compatibility: Equatable, Sendable {
  /// What the author meant, everywhere.
  package static let fixed = Compatibility([])
  /// What Argo Events 1.9 did, everywhere.
  package static let argo19 = Compatibility(Set(Difference.allCases))

  private let kept: Set<Difference>

  private init(_ kept: Set<Difference>) { self.kept = kept }

  /// - Parameter word: `fixed` or `argo-1.9`; nil for any other.
  package init?(word: String) {
    switch word {
    case "fixed": self = .fixed
    case "argo-1.9": self = .argo19
    default: return nil
    }
  }

  /// Whether the difference is as Argo Events 1.9 had it.
  package func keeps(_ difference: Difference) -> Bool { kept.contains(difference) }

  /// `compat` of a block: `fixed`, `argo-1.9`, or a list of differences; nil where it is absent or
  /// wrong, the latter being reported.
  /// - Parameter kind: what the block is of, with the differences that there are of it.
  init?(from block: Block, of kind: (name: String, differences: [Difference])) {
    guard let node = block.node("compat") else { return nil }
    switch node.value {
    case .string(let word):
      if let all = Compatibility(word: word) {
        self = all
        return
      }
      block.error("compat", "found '\(word)', expected fixed, argo-1.9 or a list of differences")
      return nil
    case .sequence:
      var kept: Set<Difference> = []
      for (place, word) in (block.strings("compat") ?? []).enumerated() {
        if let difference = Difference(rawValue: word), kind.differences.contains(difference) {
          kept.insert(difference)
          continue
        }
        let names = kind.differences.map(\.rawValue)
        let hint = nearestName(to: word, in: names).map { "; did you mean '\($0)'?" } ?? ""
        let owner = Difference(rawValue: word) == nil ? "" : " of \(kind.name)"
        block.error("compat[\(place)]", "found '\(word)', which is no difference\(owner)\(hint)")
      }
      self.init(kept)
    default:
      block.error("compat", "found \(node.kindName), expected argo-1.9 or a list of differences")
      return nil
    }
  }
}
