/// How doubtful behaviour of Argo Events is read.
package enum CompatibilityMode: String, Sendable, CaseIterable {
  /// What the author meant.
  case fixed
  /// What Argo Events 1.9 did.
  case argo19 = "argo-1.9"
}
