package import Expression
package import Manifest

extension Compatibility {
  /// How the languages are to read what is doubtful.
  package func mode(_ difference: Difference) -> CompatibilityMode {
    keeps(difference) ? .argo19 : .fixed
  }
}
