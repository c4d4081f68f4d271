package import JSON

/// A sensor with one mistake in it, which its tests should catch.
package struct Mutant {
  /// Such as `spec.dependencies[0].filters.data[1]: comparator = becomes !=`.
  package let name: String
  /// The whole document.
  package let document: JSON

  /// Every mutant of a sensor's document: comparators flipped, filters, dependencies and parameters
  /// dropped, `&&` and `||` exchanged, settings of time and number dropped or made larger.
  package static func all(of document: JSON) -> [Mutant] {
    let dependencies = document["spec"]?["dependencies"]?.list ?? []
    let triggers = document["spec"]?["triggers"]?.list ?? []
    var mutants: [Mutant] = []
    func add(_ path: [Place], _ what: String, _ value: JSON?) {
      guard let changed = document.replacing(path[...], with: value) else { return }
      mutants.append(Mutant(name: Place.text(path) + ": " + what, document: changed))
    }
    for (index, dependency) in dependencies.enumerated() {
      let place: [Place] = ["spec", "dependencies", .index(index)]
      addFilters(dependency, place, add)
      addJoin(dependency, "filtersLogicalOperator", place, add)
      if dependency["transform"] != nil { add(place + ["transform"], "dropped", nil) }
    }
    let names = dependencies.compactMap { $0["name"]?.stringText }
    for (index, trigger) in triggers.enumerated() {
      let place: [Place] = ["spec", "triggers", .index(index)]
      addConditions(trigger, names, place, add)
      addParameters(trigger, place, add)
      addSettings(trigger, place, add)
    }
    return mutants
  }

  typealias Add = (_ path: [Place], _ what: String, _ value: JSON?) -> Void

  // MARK: Filters

  private static func addFilters(_ dependency: JSON, _ place: [Place], _ add: Add) {
    guard let filters = dependency["filters"] else { return }
    let place = place + ["filters"]
    for (index, item) in (filters["data"]?.list ?? []).enumerated() {
      let item = (value: item, path: place + ["data", .index(index)])
      add(item.path, "dropped", nil)
      if item.value["type"] == "bool" { continue }
      let comparator = item.value["comparator"]?.stringText ?? "="
      let flipped = flips[comparator.isEmpty ? "=" : comparator] ?? "!="
      add(
        item.path + ["comparator"],
        "\(comparator) becomes \(flipped)",
        .string(flipped)
      )
    }
    for (index, item) in (filters["exprs"]?.list ?? []).enumerated() {
      let path = place + ["exprs", .index(index)]
      add(path, "dropped", nil)
      for (changed, what) in exchanges(item["expr"]?.stringText ?? "") {
        add(path + ["expr"], what, .string(changed))
      }
    }
    for key in ["context", "time", "script"] where filters[key] != nil {
      add(place + [.key(key)], "dropped", nil)
    }
    for key in ["exprLogicalOperator", "dataLogicalOperator"] {
      let items = filters[key.hasPrefix("expr") ? "exprs" : "data"]?.list ?? []
      if items.count > 1 { addJoin(filters, key, place, add) }
    }
  }

  private static func addJoin(_ block: JSON, _ key: String, _ place: [Place], _ add: Add) {
    if key == "filtersLogicalOperator" {
      guard case .object(let kinds)? = block["filters"],
        kinds.count(where: { !$0.key.hasSuffix("LogicalOperator") }) > 1
      else { return }
    }
    let flipped = block[key] == "or" ? "and" : "or"
    add(place + [.key(key)], "becomes \(flipped)", .string(flipped))
  }

  private static let flips = [
    "=": "!=", "!=": "=", ">=": "<", "<": ">=", ">": "<=", "<=": ">", "==": "!=", "=~": "!~",
    "!~": "=~", "&&": "||", "||": "&&",
  ]

  /// The text with each operator exchanged, one at a time.
  private static func exchanges(_ text: String) -> [(text: String, what: String)] {
    let bytes = Array(text.utf8)
    var found: [(text: String, what: String)] = []
    var at = 0
    while at < bytes.count {
      // Nothing inside of a string is an operator.
      if bytes[at] == 0x22 || bytes[at] == 0x27 {
        let quote = bytes[at]
        at += 1
        while at < bytes.count, bytes[at] != quote { at += bytes[at] == 0x5c ? 2 : 1 }
        at += 1
        continue
      }
      let word = [2, 1].lazy.compactMap { size -> String? in
        let word = String(decoding: bytes[at...].prefix(size), as: UTF8.self)
        return flips[word] != nil && word != "=" ? word : nil
      }.first
      if let word, let flipped = flips[word] {
        let changed =
          Array(bytes[..<at]) + Array(flipped.utf8) + Array(bytes[(at + word.utf8.count)...])
        found.append(
          (String(decoding: changed, as: UTF8.self), "\(word) at \(at) becomes \(flipped)")
        )
      }
      at += word?.utf8.count ?? 1
    }
    return found
  }

  // MARK: Conditions and parameters

  private static func addConditions(
    _ trigger: JSON,
    _ names: [String],
    _ place: [Place],
    _ add: Add
  ) {
    let place = place + ["template", "conditions"]
    let written = trigger["template"]?["conditions"]?.stringText ?? ""
    let conditions = written.isEmpty ? names.joined(separator: " && ") : written
    for (changed, what) in exchanges(conditions) { add(place, what, .string(changed)) }
    let used = names.filter { !words(conditions, named: $0).isEmpty }
    guard used.count > 1 else { return }
    // One that is dropped is taken out by the law of a && a and a || a.
    for name in used {
      let other = used.first { $0 != name } ?? name
      var changed = conditions
      for range in words(conditions, named: name).reversed() {
        changed.replaceSubrange(range, with: other)
      }
      add(place, "\(name) dropped", .string(changed))
    }
  }

  /// Where a name stands as a whole word.
  private static func words(_ text: String, named name: String) -> [Range<String.Index>] {
    text.ranges(of: name).filter { range in
      func isPart(_ character: Character?) -> Bool {
        guard let character else { return false }
        return character.isLetter || character.isNumber || "_-.".contains(character)
      }
      let before = range.lowerBound == text.startIndex ? nil : text[..<range.lowerBound].last
      return !isPart(before) && !isPart(text[range.upperBound...].first)
    }
  }

  private static func addParameters(_ trigger: JSON, _ place: [Place], _ add: Add) {
    var lists: [(items: [JSON], path: [Place])] = [
      (trigger["parameters"]?.list ?? [], place + ["parameters"])
    ]
    guard case .object(let kinds)? = trigger["template"] else { return }
    for kind in kinds {
      for key in ["parameters", "payload", "dynamicHeaders"] {
        let path = place + ["template", .key(kind.key), .key(key)]
        lists.append((kind.value[key]?.list ?? [], path))
      }
    }
    for (items, path) in lists {
      for index in items.indices { add(path + [.index(index)], "dropped", nil) }
    }
  }
}

/// A step from a JSON value into one of its parts.
enum Place: ExpressibleByStringLiteral {
  case key(String)
  case index(Int)

  init(stringLiteral value: String) { self = .key(value) }

  static func text(_ path: [Place]) -> String {
    path.reduce("") { text, step in
      switch step {
      case .key(let key): text.isEmpty ? key : text + "." + key
      case .index(let index): text + "[\(index)]"
      }
    }
  }
}

extension JSON {
  fileprivate var list: [JSON]? {
    if case .array(let items) = self { return items }
    return nil
  }

  fileprivate var stringText: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  /// This value with another at `path`; nil for no value takes it away. nil when there is no such
  /// place; the last key need not be there.
  fileprivate func replacing(_ path: ArraySlice<Place>, with value: JSON?) -> JSON? {
    guard let step = path.first else { return value }
    let rest = path.dropFirst()
    switch (self, step) {
    case (.object(var members), .key(let key)):
      guard let place = members.firstIndex(where: { $0.key == key }) else {
        guard rest.isEmpty, let value else { return nil }
        return .object(members + [Member(key: key, value: value)])
      }
      if rest.isEmpty, value == nil {
        members.remove(at: place)
      } else {
        guard let changed = members[place].value.replacing(rest, with: value) else { return nil }
        members[place].value = changed
      }
      return .object(members)
    case (.array(var items), .index(let index)) where items.indices.contains(index):
      if rest.isEmpty, value == nil {
        items.remove(at: index)
        return .array(items)
      }
      guard let changed = items[index].replacing(rest, with: value) else { return nil }
      items[index] = changed
      return .array(items)
    default: return nil
    }
  }
}
