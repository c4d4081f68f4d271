/// Hides secrets in text that comes from a target and is going to be stored or shown.
package struct SecretMask: Sendable {
  private let patterns: [String]

  /// Lines of a secret shorter than this are left alone by themselves: they would mask half a text.
  private static let shortestLine = 8

  package init(_ secrets: [[UInt8]]) {
    var patterns: Set<String> = []
    for secret in secrets where !secret.isEmpty {
      let text = String(decoding: secret, as: UTF8.self)
      patterns.insert(text)
      for line in text.split(whereSeparator: \.isNewline) where line.utf8.count >= Self.shortestLine
      {
        patterns.insert(String(line))
      }
    }
    // The longest first: a shorter one may be a part of it.
    self.patterns = patterns.sorted { $0.utf8.count > $1.utf8.count }
  }

  package func applied(to text: String) -> String {
    patterns.reduce(text) { $0.replacing($1, with: "***") }
  }
}
