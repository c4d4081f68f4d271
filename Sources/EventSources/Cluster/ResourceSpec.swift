import Cluster
import Expression
import JSON
package import Manifest

/// The fields of a `resource` event source (spec section 2.7).
package struct ResourceSpec: ManifestBlock, Sendable {
  /// nil: all.
  let namespace: String?
  let group: String
  let version: String
  /// The plural name.
  let resource: String
  let kinds: Set<ObjectChange.Kind>
  let filter: ObjectFilter
  let metadata: [JSON.Member]

  var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

  package init(from block: Block) {
    namespace = block.string("namespace").flatMap { $0.isEmpty ? nil : $0 }
    group = block.string("group") ?? ""
    version = block.requiredString("version")
    resource = block.requiredString("resource")
    var kinds: Set<ObjectChange.Kind> = []
    let words = block.strings("eventTypes") ?? []
    for (index, word) in words.enumerated() {
      guard let kind = ObjectChange.Kind(rawValue: word) else {
        block.error("eventTypes[\(index)]", "found '\(word)', expected ADD, UPDATE or DELETE")
        continue
      }
      kinds.insert(kind)
    }
    if words.isEmpty {
      block.error("eventTypes", "found nothing, expected a list of ADD, UPDATE and DELETE")
    }
    self.kinds = kinds
    filter = ObjectFilter(from: block.block("filter"))
    metadata = webhookMetadata(block)
    block.finish()
  }
}

/// Which objects concern a source.
struct ObjectFilter: Sendable {
  /// One condition on a label (spec section 2.7).
  struct Label: Sendable {
    enum Test: String, CaseIterable, Sendable {
      case equal = "="
      case doubleEqual = "=="
      case among = "in"
      case notAmong = "notin"
      case unequal = "!="
      case exists
      case absent = "!"
      case greater = "gt"
      case less = "lt"
    }

    let key: String
    let test: Test
    let values: [String]

    func holds(_ value: String?) -> Bool {
      switch test {
      case .equal, .doubleEqual, .among: value.map(values.contains) ?? false
      // As in a selector: an object without the label has no such value.
      case .unequal, .notAmong: value.map { !values.contains($0) } ?? true
      case .exists: value != nil
      case .absent: value == nil
      case .greater: compared(value) { $0 > $1 }
      case .less: compared(value) { $0 < $1 }
      }
    }

    private func compared(_ value: String?, _ isIn: (Int, Int) -> Bool) -> Bool {
      guard let number = value.flatMap({ Int($0) }), let bound = values.first.flatMap({ Int($0) })
      else { return false }
      return isIn(number, bound)
    }
  }

  /// One condition on a field: a pattern for its string form. A field that is not there refuses.
  private struct Field: Sendable {
    let path: JSONPath
    let pattern: RE2
    let isNegated: Bool
  }

  private var prefix = ""
  private var labels: [Label] = []
  private var fields: [Field] = []
  /// Seconds since 1970.
  private var createdBy: Int64?

  /// - Parameter block: `filter`; nil takes every object.
  init(from block: Block?) {
    guard let block else { return }
    prefix = block.string("prefix") ?? ""
    labels = block.blocks("labels").compactMap(Self.label)
    fields = block.blocks("fields").compactMap(Self.field)
    if let text = block.string("createdBy"), !text.isEmpty {
      createdBy = secondsSince1970(text)
      if createdBy == nil {
        block.error("createdBy", "found '\(text)', expected a time such as 2026-01-31T08:00:00Z")
      }
    }
    if block.bool("afterStart") != nil {
      block.report(
        .info,
        "afterStart",
        "is always so: what was there at the first start is not told"
      )
    }
    block.finish()
  }

  private static func label(_ block: Block) -> Label? {
    let key = block.requiredString("key")
    let word = block.string("operation") ?? ""
    let value = block.string("value") ?? ""
    block.finish()
    guard let test = Label.Test(rawValue: word.isEmpty ? "=" : word) else {
      let known = Label.Test.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("operation", "found '\(word)', expected one of \(known)")
      return nil
    }
    let isList = test == .among || test == .notAmong
    if test == .greater || test == .less, Int(value) == nil {
      block.error("value", "found '\(value)', expected a whole number")
    }
    let values = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    return Label(key: key, test: test, values: isList ? values : [value])
  }

  private static func field(_ block: Block) -> Field? {
    let text = block.requiredString("key")
    let word = block.string("operation") ?? ""
    let value = block.string("value") ?? ""
    block.finish()
    if !["=", "==", "!="].contains(word) {
      block.error("operation", "found '\(word)', expected =, == or !=")
    }
    do throws(JSONPathError) {
      let path = try JSONPath(text)
      do throws(RE2Error) {
        return Field(path: path, pattern: try RE2(value), isNegated: word == "!=")
      } catch { block.error("value", "\(error)") }
    } catch { block.error("key", "\(error)") }
    return nil
  }

  func takes(_ object: ObservedObject) -> Bool {
    guard object.name.hasPrefix(prefix) else { return false }
    guard !labels.isEmpty || !fields.isEmpty || createdBy != nil else { return true }
    guard let document = try? JSONDocument(object.bytes) else { return false }
    for label in labels {
      let value = document.value(of: "metadata", "labels", label.key)?.string
      if !label.holds(value) { return false }
    }
    for field in fields {
      guard let value = document.value(at: field.path),
        field.pattern.isMatch(value.string) != field.isNegated
      else { return false }
    }
    if let createdBy {
      let text = document.value(of: "metadata", "creationTimestamp")?.string ?? ""
      guard let created = secondsSince1970(text), created <= createdBy else { return false }
    }
    return true
  }
}
