/// What a manifest's languages do where Argo Events does something its author hardly meant.
package enum FilterMode: String, Sendable, CaseIterable {
  /// What the author meant.
  case fixed
  /// What Argo Events 1.9 does.
  case argo = "argo-1.9"
}
