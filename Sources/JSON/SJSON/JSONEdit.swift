/// What an edit puts in place.
package enum JSONContent: Sendable {
  /// Becomes a string.
  case text(String)
  /// Goes in as it is, unchecked.
  case raw([UInt8])
}

extension JSONDestination {
  /// `text` with a value at this place; all other bytes stay. Missing parents are made, arrays
  /// padded with null; a path with patterns only replaces what it matches.
  /// - Throws: `JSONPathError` where an array stands in the way of a key.
  package func setting(
    _ content: JSONContent,
    in text: [UInt8]
  ) throws(JSONPathError) -> [UInt8] {
    var value: [UInt8] = []
    switch content {
    case .text(let text): appendString(Array(text.utf8), to: &value)
    case .raw(let bytes): value = bytes
    }
    guard let parts else { return replacingMatches(value, text) }
    return try edit(text[...], parts[...], value) ?? text
  }

  /// `text` without what is at this place, and without one comma beside it.
  /// - Throws: `JSONPathError` for a path with patterns.
  package func deleting(in text: [UInt8]) throws(JSONPathError) -> [UInt8] {
    guard let parts else {
      throw JSONPathError(description: "'\(description)' has patterns and cannot be deleted")
    }
    return try edit(text[...], parts[...], nil) ?? text
  }

  private func replacingMatches(_ value: [UInt8], _ text: [UInt8]) -> [UInt8] {
    let found = path.found(in: text[...])
    guard let places = found.places, !places.isEmpty else {
      guard found.place > 0, !found.raw.isEmpty else { return text }
      return replacing(found.place, found.raw.count, value, text)
    }
    var lengths: [Int] = []
    found.raw.eachItem { lengths.append($1.count) }
    guard lengths.count == places.count else { return text }
    // From the end, so that what is still to come stays where it is.
    let order = places.indices.sorted {
      places[$0] == places[$1] ? $0 < $1 : places[$0] > places[$1]
    }
    var out = found.place > 0 ? replacing(found.place, found.raw.count, value, text) : text
    for index in order { out = replacing(places[index], lengths[index], value, out) }
    return out
  }

  private func replacing(
    _ place: Int,
    _ length: Int,
    _ value: [UInt8],
    _ text: [UInt8]
  ) -> [UInt8] {
    guard place >= 0, place + length <= text.count else { return text }
    return text[..<place] + value + text[(place + length)...]
  }
}

/// The text with the value set, or the place deleted where there is none; nil: nothing changes.
private func edit(
  _ text: ArraySlice<UInt8>,
  _ parts: ArraySlice<JSONDestination.Part>,
  _ value: [UInt8]?
) throws(JSONPathError) -> [UInt8]? {
  guard let part = parts.first else { return nil }
  let found = look(text, part, isDeletion: value == nil)
  guard !found.raw.isEmpty, found.place > 0 else {
    guard let value else { return nil }
    return try extend(text, parts, part, value)
  }
  let start = text.startIndex + found.place
  let end = start + found.raw.count
  if parts.count > 1 {
    guard let inner = try edit(found.raw, parts.dropFirst(), value) else { return nil }
    return text[..<start] + inner + text[end...]
  }
  guard let value else { return delete(text, start, end) }
  return text[..<start] + value + text[end...]
}

private func look(
  _ text: ArraySlice<UInt8>,
  _ part: JSONDestination.Part,
  isDeletion: Bool
) -> Found {
  if isDeletion, part.isAppend, let count = lookUp("#", text).value?.double, count > 0,
    count < 1e15
  {
    return lookUp(String(Int(count) - 1), text)
  }
  return part.lookup.found(in: text)
}

private func lookUp(_ path: String, _ text: ArraySlice<UInt8>) -> Found {
  (try? JSONPath(path))?.found(in: text) ?? .nothing
}

/// The container `text` with a member or an element more; what is no container gives way to one.
private func extend(
  _ text: ArraySlice<UInt8>,
  _ parts: ArraySlice<JSONDestination.Part>,
  _ part: JSONDestination.Part,
  _ value: [UInt8]
) throws(JSONPathError) -> [UInt8] {
  var container = text.firstValue
  if container.first != 0x7b && container.first != 0x5b {
    container = Array((part.index == nil ? "{}" : "[]").utf8)[...]
  }
  let next = container.dropFirst().first { $0 > 0x20 }
  let comma: [UInt8] = next == nil || next == 0x7d || next == 0x5d ? [] : [0x2c]
  if container.first == 0x7b {
    let end = container.dropFirst().lastIndex(of: 0x7d) ?? container.startIndex
    return container[..<end] + comma + built(parts, inArray: false, value) + [0x7d]
  }
  if part.isAppend {
    var open = container.trimmed
    if open.last == 0x5d { open.removeLast() }
    return Array(open) + comma + built(parts, inArray: true, value) + [0x5d]
  }
  guard let index = part.index else {
    let name = String(decoding: part.name, as: UTF8.self)
    throw JSONPathError(description: "an array has no member '\(name)'")
  }
  let elements = container.elements
  let padding = Array(repeating: Array("null".utf8)[...], count: max(0, index - elements.count))
  var out = [0x5b] + Array((elements + padding).joined(separator: [0x2c]))
  if elements.isEmpty ? !padding.isEmpty : !comma.isEmpty { out.append(0x2c) }
  return out + built(parts, inArray: true, value) + [0x5d]
}

/// The member or element that the rest of a path makes out of nothing.
private func built(
  _ parts: ArraySlice<JSONDestination.Part>,
  inArray: Bool,
  _ value: [UInt8]
) -> [UInt8] {
  var out: [UInt8] = []
  var closing: [UInt8] = []
  var isElement = inArray
  for (place, part) in parts.enumerated() {
    if place > 0 {
      isElement = part.index != nil || part.isAppend
      out.append(isElement ? 0x5b : 0x7b)
      closing.append(isElement ? 0x5d : 0x7d)
      for _ in 0..<(part.index ?? 0) { out += "null,".utf8 }
    }
    if !isElement {
      appendString(part.name, to: &out)
      out.append(0x3a)
    }
  }
  return out + value + closing.reversed()
}

/// Cuts a value out, with its key and one comma.
private func delete(_ text: ArraySlice<UInt8>, _ start: Int, _ end: Int) -> [UInt8] {
  var front = text[..<start]
  var isFirst = false
  if let stop = front.lastIndex(where: { $0 == 0x5b || $0 == 0x2c || $0 == 0x3a }) {
    switch front[stop] {
    case 0x5b: isFirst = true
    case 0x2c: front = front[..<stop]
    default:
      if let key = keyStart(front[..<stop]),
        let before = front[..<key].lastIndex(where: { $0 == 0x7b || $0 == 0x2c })
      {
        isFirst = front[before] == 0x7b
        front = isFirst ? front[...before] : front[..<before]
      }
    }
  }
  var rest = text[end...]
  if isFirst, let next = rest.firstIndex(where: { $0 > 0x20 }), rest[next] == 0x2c {
    rest = rest[(next + 1)...]
  }
  return Array(front) + rest
}

/// The quote that opens the key which ends `text`.
private func keyStart(_ text: ArraySlice<UInt8>) -> Int? {
  guard let closing = text.lastIndex(of: 0x22) else { return nil }
  var at = closing - 1
  while at >= text.startIndex {
    if text[at] == 0x22 {
      guard at > text.startIndex, text[at - 1] == 0x5c else { return at }
      at -= 1
    }
    at -= 1
  }
  return nil
}

/// Plain text in quotes as it is, anything else as Go's encoder writes it.
private func appendString(_ text: [UInt8], to out: inout [UInt8]) {
  let isPlain = text.allSatisfy { (0x20...0x7f).contains($0) && $0 != 0x22 && $0 != 0x5c }
  if isPlain {
    out.append(0x22)
    out += text
    out.append(0x22)
  } else {
    appendASCIISafe(text[...], to: &out)
  }
}
