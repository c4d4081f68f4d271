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
    guard let (name, _, found) = difference(event) else { return .pass }
    return .refused("\(name) is '\(found.prefix(200))'")
  }

  func faults(_ event: FilterSubject) -> [FilterFault] {
    guard let (name, wanted, found) = difference(event) else { return [] }
    return [
      FilterFault(
        clause: "context.\(name)",
        wanted: "'\(wanted)'",
        found: "'\(found.prefix(200))'"
      )
    ]
  }

  private func difference(
    _ event: FilterSubject
  ) -> (name: String, wanted: String, found: String)? {
    let pairs = [
      ("type", type, event.type), ("subject", subject, event.subject),
      ("source", source, event.source),
      ("datacontenttype", dataContentType, event.dataContentType),
    ]
    return pairs.first { (_, wanted, found) in !wanted.isEmpty && wanted != found }
  }
}
