/// A regular expression of RE2.
struct ExprPattern: Sendable {
  init(_ text: ByteString) throws(ExprFailure) {
    throw ExprFailure("regular expressions are not supported yet")
  }

  func matches(_ text: ByteString) -> Bool { false }
}
