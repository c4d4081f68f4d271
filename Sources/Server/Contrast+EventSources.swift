import EventSources
import Expression
package import Manifest
import Plugin

extension EventSourceManifest {
  /// Where this event source does something else than in Argo Events 1.9.
  /// - Parameter installation: what holds where the manifest says nothing.
  package func contrasts(_ installation: Compatibility) -> [Contrast] {
    let compat = self.compat ?? installation
    return entries.flatMap(\.contrasts).filter { !compat.keeps($0.difference) }
  }
}

extension EventSourceEntry {
  fileprivate var contrasts: [Contrast] {
    // What is wrong with the entry is told by those who make a source of it.
    let block = Block(node, path: path, Diagnostics())
    return [filter(block), schedule(block)].compactMap(\.self)
  }

  private func filter(_ block: Block) -> Contrast? {
    let isExpression = eventSourceKinds.contains { $0.kind == kind && !$0.hasOwnFilter }
    guard isExpression, let filter = block.block("filter"),
      let found = EventSourceFilter.contrast(filter.string("expression") ?? "", world: .machine)
    else { return nil }
    return Contrast(
      difference: .sourceFilters,
      mark: filter.mark(of: "expression"),
      field: filter.path + ".expression",
      found: found
    )
  }

  private func schedule(_ block: Block) -> Contrast? {
    guard kind == "calendar", let schedule = block.string("schedule"),
      namesHours(schedule, in: block.string("timezone") ?? "")
    else { return nil }
    return Contrast(
      difference: .cronHours,
      mark: block.mark(of: "schedule"),
      field: path + ".schedule",
      found: ""
    )
  }
}

/// Whether a schedule means otherwise where clocks change: its hours are named, and its clocks do.
func namesHours(_ schedule: String, in timezone: String) -> Bool {
  let zoneFile = TemplateWorld.machine.zoneFile
  guard let cron = try? Cron(schedule, timezone: timezone, zoneFile: zoneFile) else { return false }
  return cron.keepsHours
}

extension Compatibility {
  /// What it changes in event sources.
  var ofSources: String {
    Difference.ofEventSources.filter(keeps).map { " " + $0.rawValue }.joined()
  }
}
