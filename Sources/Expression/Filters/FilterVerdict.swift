package import JSON

/// What a filter made of an event.
package enum FilterVerdict: Equatable, Sendable {
  case pass
  /// Which clause was false, with what was found.
  case refused(String)
  /// It could not be judged.
  case error(String)
}

/// A filter that cannot be used, in words that fit behind a field's name.
package struct FilterError: Error, Equatable, CustomStringConvertible {
  package let description: String

  package init(description: String) { self.description = description }
}

/// The data of an event as filters see it.
package enum FilterData: Sendable {
  /// There is none: what judges data passes.
  case absent
  case document(JSONDocument)
  /// It is no JSON: what judges data cannot.
  case broken(String)

  package init(_ bytes: [UInt8]) {
    do throws(JSONError) { self = .document(try JSONDocument(bytes)) } catch {
      self = .broken("\(error)")
    }
  }
}

/// A filter on the data of an event: `data`, `exprs` and `script` are of this shape.
package protocol DataJudge: Sendable {
  /// - Parameter time: the event's.
  func evaluate(_ data: FilterData, at time: FilterTime) -> FilterVerdict

  /// The clauses that decide against an event, errors first where they weigh more; each is named
  /// by its place within this, such as `[0]`, or by nothing. Empty: it passes.
  func faults(_ data: FilterData, at time: FilterTime) -> [FilterFault]

  /// By what it refuses a document, as far as it can be told without one.
  var outline: FilterOutline { get }
}

extension DataJudge {
  package var outline: FilterOutline { .opaque }

  package func faults(_ data: FilterData, at time: FilterTime) -> [FilterFault] {
    let fault = FilterFault(evaluate(data, at: time), clause: "", wanted: "that it passes")
    return fault.map { [$0] } ?? []
  }
}

/// Which of several filters must pass.
package enum FilterJoin: Sendable { case all, any }
