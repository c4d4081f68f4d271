/// A secret value. It has no printed form: string interpolation, `print`, `dump` and reflection
/// show a mask.
package struct Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  private let bytes: [UInt8]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Lends the bytes to what needs them: a MAC, a header, a child's environment.
  package func reveal() -> [UInt8] { bytes }

  package var description: String { "***" }
  package var debugDescription: String { "***" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

package struct SecretError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// Finds secrets by name and key; a changed secret is seen by the next look-up.
package protocol SecretStore: Sendable {
  /// - Throws: `SecretError`, which names where it looked and never a value.
  func secret(name: String, key: String) throws(SecretError) -> Secret

  /// The live values of a secret: `key`, and `key.previous` where that exists.
  /// - Throws: `SecretError` when `key` itself cannot be had.
  func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret]

  /// Whether every secret is found and none is real, as in a rehearsal: a certificate is then none.
  var holdsPlaceholders: Bool { get }
}

extension SecretStore {
  package var holdsPlaceholders: Bool { false }
}
