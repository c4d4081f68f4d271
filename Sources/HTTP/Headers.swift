/// Header fields in the order received; names compare without regard to ASCII case.
package struct Headers: Sendable, Equatable {
  package struct Field: Sendable, Equatable {
    /// As received or as to be sent.
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  package private(set) var fields: [Field] = []

  package init(_ fields: [Field] = []) { self.fields = fields }

  package mutating func add(_ name: String, _ value: String) { fields.append(Field(name, value)) }

  /// One field in the place of all of that name.
  package mutating func replace(_ name: String, _ value: String) {
    fields.removeAll { equalIgnoringCase($0.name, name) }
    fields.append(Field(name, value))
  }

  /// The first value of `name`.
  package subscript(name: String) -> String? {
    fields.first { equalIgnoringCase($0.name, name) }?.value
  }

  /// All values of `name`, in order.
  package func values(_ name: String) -> [String] {
    fields.filter { equalIgnoringCase($0.name, name) }.map(\.value)
  }

  /// The fields in the form of spec section 1.3: names in Go's canonical capitalisation
  /// (`X-GitHub-Event` becomes `X-Github-Event`), sorted, each with all its values; `Host` left out.
  package var canonical: [(name: String, values: [String])] {
    var order: [String] = []
    var values: [String: [String]] = [:]
    for field in fields {
      let name = canonicalName(field.name)
      if name == "Host" { continue }
      if values[name] == nil { order.append(name) }
      values[name, default: []].append(field.value)
    }
    return order.sorted().map { ($0, values[$0] ?? []) }
  }
}

/// Go's `CanonicalMIMEHeaderKey`: the first letter and every letter after a dash in upper case,
/// the rest in lower case.
package func canonicalName(_ name: String) -> String {
  var upper = true
  let bytes = name.utf8.map { byte -> UInt8 in
    defer { upper = byte == 0x2d }
    switch byte {
    case 0x61...0x7a where upper: return byte - 32
    case 0x41...0x5a where !upper: return byte + 32
    default: return byte
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}

func equalIgnoringCase(_ a: String, _ b: String) -> Bool {
  let a = a.utf8
  let b = b.utf8
  guard a.count == b.count else { return false }
  var other = b.makeIterator()
  for byte in a {
    guard let next = other.next(), byte == next || lowered(byte) == lowered(next) else {
      return false
    }
  }
  return true
}

func lowered(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte + 32 : byte }
