import JSON

extension VectorFormat {
  static let gjson = VectorFormat(
    name: "gjson",
    input: { "\($0.text("path")) in \($0.text("json"))" },
    expected: { item in
      guard item["exists"] != false else { return "nothing" }
      return [
        item.text("expect"), item.text("type"), item.text("string"),
        described(item["float"]), item["bool"]?.text ?? "",
      ].joined(separator: " | ")
    },
    found: { item, _ in
      let path = try JSONPath(item.text("path"))
      let bytes = Array(item.text("json").utf8)
      let loose = described(path.value(in: bytes[...]))
      // A document that was checked takes another way through the code.
      if let document = try? JSONDocument(bytes) {
        let checked = described(document.value(at: path))
        if checked != loose { return "\(loose), but checked \(checked)" }
      }
      return loose
    }
  )

  private static func described(_ value: JSONValue?) -> String {
    guard let value else { return "nothing" }
    let type =
      switch value.kind {
      case .null: "Null"
      case .bool: value.isTrue ? "True" : "False"
      case .number: "Number"
      case .string: "String"
      case .array, .object: "JSON"
      }
    let text = String(decoding: value.stringBytes, as: UTF8.self)
    return [
      String(decoding: value.raw, as: UTF8.self), type,
      text == value.string ? text : "\(text), but as string \(value.string)",
      described(value.double), "\(value.bool)",
    ].joined(separator: " | ")
  }

  private static func described(_ float: JSON?) -> String {
    switch float {
    case .number(let text): Double(text).map(described) ?? text
    case .string("NaN"): described(.nan)
    case .string(let text): described(text == "-Inf" ? -Double.infinity : .infinity)
    default: "no float"
    }
  }

  // The files do not keep the sign of a zero.
  private static func described(_ float: Double) -> String { float == 0 ? "0.0" : "\(float)" }

  static let sjson = VectorFormat(
    name: "sjson",
    input: { item in
      let value = item["value"]?.text ?? item.text("raw")
      return "\(item.text("op")) \(item.text("path")) \(value) in \(item.text("json"))"
    },
    expected: { $0.string("expect") ?? "error" },
    found: { item, _ in
      let text = Array(item.text("json").utf8)
      do {
        let place = try JSONDestination(item.text("path"))
        let bytes =
          switch item.text("op") {
          case "delete": try place.deleting(in: text)
          case "setraw": try place.setting(.raw(Array(item.text("raw").utf8)), in: text)
          default: try place.setting(content(item["value"] ?? .null), in: text)
          }
        return String(decoding: bytes, as: UTF8.self)
      } catch is JSONPathError { return "error" }
    }
  )

  /// A value as Go's encoder writes it: members sorted, numbers in plain decimals.
  private static func content(_ value: JSON) -> JSONContent {
    if case .string(let text) = value { return .text(text) }
    return .raw(plain(value).encoded())
  }

  private static func plain(_ value: JSON) -> JSON {
    switch value {
    case .object(let members):
      .object(
        members.map { .init(key: $0.key, value: plain($0.value)) }
          .sorted { Array($0.key.utf8).lexicographicallyPrecedes(Array($1.key.utf8)) }
      )
    case .array(let items): .array(items.map(plain))
    case .number(let text):
      (try? JSONDocument(Array(text.utf8)).root.string).map { .number($0) } ?? value
    default: value
    }
  }
}
