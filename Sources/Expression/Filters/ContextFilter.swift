/// `filters.context` (spec section 7.5): exact equality of what is not empty.
package struct ContextFilter: Sendable {
  package let type: String
  package let source: String
  package let subject: String
  package let dataContentType: String

  package init(type: String, source: String, subject: String, dataContentType: String) {
    self.type = type
    self.source = source
    self.subject = subject
    self.dataContentType = dataContentType
  }

  func evaluate(_ event: FilterSubject) -> FilterVerdict {
    let pairs = [
      ("type", type, event.type), ("subject", subject, event.subject),
      ("source", source, event.source),
      ("datacontenttype", dataContentType, event.dataContentType),
    ]
    for (name, wanted, found) in pairs where !wanted.isEmpty && wanted != found {
      return .refused("\(name) is '\(found.prefix(200))'")
    }
    return .pass
  }
}
