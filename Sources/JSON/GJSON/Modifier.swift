/// What `@name` does to the text that reaches it (spec section 4.3).
enum Modifier: Sendable {
  case pretty(PrettyPrinter.Options)
  case ugly, reverse, this
  case flatten(deep: Bool)
  case join(preserve: Bool)
  case valid, keys, values
  case toString, fromString
  case group
  indirect case dig(PathStart)

  static let names: Set<String> = [
    "pretty", "ugly", "reverse", "this", "flatten", "join", "valid", "keys", "values", "tostr",
    "fromstr", "group", "dig",
  ]

  /// - Parameter budget: bytes that results may still be made of; nothing when it runs out.
  func applied(to json: ArraySlice<UInt8>, _ budget: inout Int) -> ArraySlice<UInt8> {
    switch self {
    case .this: return json
    case .valid: return isJSON(json) ? json : []
    case .pretty(let options): return charge(PrettyPrinter.print(json, options, budget), &budget)
    case .ugly: return charge(withoutSpace(json), &budget)
    case .reverse: return charge(reversed(json), &budget)
    case .flatten(let deep):
      return json.firstValue.first == 0x5b ? charge(flat(json, deep, 0), &budget) : json
    case .join(let preserve):
      guard json.firstValue.first == 0x5b else { return json }
      return charge(preserve ? joined(json) : merged(json), &budget)
    case .keys: return charge(keyList(json), &budget)
    case .values: return charge(valueList(json), &budget)
    case .toString:
      var out: [UInt8] = []
      appendASCIISafe(json, to: &out)
      return charge(out[...], &budget)
    case .fromString:
      guard isJSON(json) else { return [] }
      return JSONValue(raw: json.firstValue).stringBytes
    case .group: return charge(grouped(json), &budget)
    case .dig(let path):
      var out: [UInt8] = [0x5b]
      digOut(path, json.firstValue, 0, &out, &budget)
      return (out + [0x5d])[...]
    }
  }

  private func charge(_ out: ArraySlice<UInt8>, _ budget: inout Int) -> ArraySlice<UInt8> {
    budget -= out.count
    return budget < 0 ? [] : out
  }
}

private func items(
  _ container: ArraySlice<UInt8>
) -> [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] {
  var items: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []
  container.eachItem { items.append(($0, $1)) }
  return items
}

private func list(
  _ parts: some Sequence<ArraySlice<UInt8>>,
  _ open: UInt8,
  _ close: UInt8
) -> ArraySlice<UInt8> {
  ([open] + Array(parts.joined(separator: [0x2c])) + [close])[...]
}

private func withoutSpace(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  var out: [UInt8] = []
  out.reserveCapacity(json.count)
  var at = json.startIndex
  while at < json.endIndex {
    if json[at] == 0x22 {
      let end = json.stringEnd(at + 1) ?? json.endIndex
      out += json[at..<end]
      at = end
    } else {
      if json[at] > 0x20 { out.append(json[at]) }
      at += 1
    }
  }
  return out[...]
}

private func reversed(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  let value = json.firstValue
  switch value.first {
  case 0x5b: return list(items(value).reversed().map(\.value), 0x5b, 0x5d)
  case 0x7b:
    return list(items(value).reversed().map { ($0.key + [0x3a] + $0.value)[...] }, 0x7b, 0x7d)
  default: return json
  }
}

/// The elements of the arrays within an array; of those within them, too, when `deep`.
private func flat(_ json: ArraySlice<UInt8>, _ deep: Bool, _ depth: Int) -> ArraySlice<UInt8> {
  let parts = items(json.firstValue).map { item -> ArraySlice<UInt8> in
    guard item.value.first == 0x5b else { return item.value.trimmed }
    let isDeeper = deep && depth < JSONLimits().depth
    return inner(isDeeper ? flat(item.value, deep, depth + 1) : item.value).trimmed
  }
  return list(parts.filter { !$0.isEmpty }, 0x5b, 0x5d)
}

/// A container's text without its brackets.
private func inner(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  let text = json.trimmed
  guard text.count >= 2, text.first == 0x5b || text.first == 0x7b else { return text }
  return text.dropFirst().dropLast()
}

private func joined(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  list(items(json.firstValue).filter { $0.value.first == 0x7b }.map { inner($0.value) }, 0x7b, 0x7d)
}

/// One object out of many: the last value of a key stands where its first did.
private func merged(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  var order: [ArraySlice<UInt8>] = []
  var places: [[UInt8]: Int] = [:]
  var values: [ArraySlice<UInt8>] = []
  for object in items(json.firstValue) where object.value.first == 0x7b {
    for (key, value) in items(object.value) {
      let name = Array(JSONValue(raw: key).content)
      if let place = places[name] {
        values[place] = value
      } else {
        places[name] = order.count
        order.append(key)
        values.append(value)
      }
    }
  }
  return list(zip(order, values).map { ($0 + [0x3a] + $1)[...] }, 0x7b, 0x7d)
}

private func keyList(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  let null = Array("null".utf8)[...]
  let value = json.firstValue
  return list(items(value).map { value.first == 0x7b ? $0.key : null }, 0x5b, 0x5d)
}

private func valueList(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  let value = json.firstValue
  return value.first == 0x5b ? json : list(items(value).map(\.value), 0x5b, 0x5d)
}

/// An object of arrays becomes an array of objects.
private func grouped(_ json: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  let value = json.firstValue
  guard value.first == 0x7b else { return [] }
  var rows: [[ArraySlice<UInt8>]] = []
  for (key, column) in items(value) where column.first == 0x5b {
    for (index, item) in items(column).enumerated() {
      if index == rows.count { rows.append([]) }
      rows[index].append((key + [0x3a] + item.value)[...])
    }
  }
  return list(rows.map { list($0, 0x7b, 0x7d) }, 0x5b, 0x5d)
}

/// The path tried on a value, then on everything within it, depth first.
private func digOut(
  _ path: PathStart,
  _ value: ArraySlice<UInt8>,
  _ depth: Int,
  _ out: inout [UInt8],
  _ budget: inout Int
) {
  let found = PathSearch.run(path, value, &budget).raw
  budget -= found.count + 1
  if budget < 0 { return }
  if !found.isEmpty {
    if out.count > 1 { out.append(0x2c) }
    out += found
  }
  guard value.first == 0x7b || value.first == 0x5b, depth < JSONLimits().depth else { return }
  for item in items(value) { digOut(path, item.value, depth + 1, &out, &budget) }
}
