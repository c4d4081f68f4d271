/// A regular expression within an expression.
struct ExprPattern: Sendable {
  private let regex: RE2

  init(_ text: ByteString) throws(ExprFailure) {
    do throws(RE2Error) { regex = try RE2(text.description) } catch {
      throw ExprFailure("\(error)")
    }
  }

  func matches(_ text: ByteString) -> Bool { regex.isMatch(text.bytes) }
}
