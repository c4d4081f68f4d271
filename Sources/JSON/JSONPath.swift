/// A path that cannot be used, and why.
package struct JSONPathError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

/// A GJSON path (spec section 4), compiled. Every text of at most `lengthMax` bytes is one; what
/// cannot be read as anything else is a key. Safe to use from many threads.
package struct JSONPath: Hashable, Sendable {
  /// In bytes; longer paths are refused.
  package static let lengthMax = 2048
  /// A path can ask for results that grow with every component; larger ones do not exist.
  package static let resultBytesMax = 64 << 20

  package let text: String
  /// The keys and indices of a path that is nothing more.
  private let keys: [[UInt8]]?
  private let start: PathStart

  package init(_ text: String) throws(JSONPathError) {
    let bytes = Array(text.utf8)
    guard bytes.count <= Self.lengthMax else {
      throw JSONPathError(description: "a path is longer than \(Self.lengthMax) bytes")
    }
    self.text = text
    let isPlain = bytes.allSatisfy { !#"\|#@*?!{}[]()"#.utf8.contains($0) }
    keys =
      isPlain && !text.hasPrefix("..")
      ? bytes.split(separator: 0x2e, omittingEmptySubsequences: false).map(Array.init) : nil
    var compiler = PathCompiler(bytes)
    start = compiler.start(0..<bytes.count)
  }

  /// The member of that name; nothing in `key` is read as anything else.
  package init(key: StaticString) {
    text = "\(key)"
    let bytes = Array(text.utf8)
    precondition(bytes.allSatisfy { $0 >= 0x61 && $0 <= 0x7a }, "a key of lower-case letters")
    keys = [bytes]
    var compiler = PathCompiler(bytes)
    start = compiler.start(0..<bytes.count)
  }

  /// What the path leads to in a text that need not be JSON; nil where it leads nowhere.
  package func value(in text: ArraySlice<UInt8>) -> JSONValue? { found(in: text).value }

  /// Byte by byte: texts that merely look alike are two paths.
  package static func == (a: JSONPath, b: JSONPath) -> Bool {
    a.text.utf8.elementsEqual(b.text.utf8)
  }

  package func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }

  func found(in text: ArraySlice<UInt8>) -> Found {
    var budget = Self.resultBytesMax
    return PathSearch.run(start, text, &budget)
  }

  func value(in document: JSONDocument) -> JSONValue? {
    if let keys, document.node.isObject || document.node.isArray {
      return document.node.find(keys)?.value
    }
    return value(in: document.bytes[...])
  }
}
