/// How a firing stands or ends; the last part of an outcome's event name.
package enum OutcomePhase: String, Sendable, CaseIterable {
  case started, progress, succeeded, failed, cancelled, skipped, unknown

  /// The event source that outcomes come from.
  package static let sourceName = "outcomes"
}
