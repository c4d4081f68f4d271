package import Event
package import JSON

extension Event {
  /// The context as sensors see it, all keys always present (spec section 1.2).
  package var context: JSON {
    [
      "id": .string(id), "source": .string(source), "specversion": "1.0",
      "type": .string(type), "datacontenttype": .string(dataContentType),
      "subject": .string(subject), "time": .string(time.wholeSeconds),
    ]
  }

  /// The whole event as a parameter without a selector gives it: context, and data in base64.
  package var envelope: String {
    let object: JSON = ["context": context, "data": .string(base64(data))]
    return String(decoding: object.encoded(), as: UTF8.self)
  }
}

/// Standard base64 with padding (RFC 4648 section 4).
private func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var text: [UInt8] = []
  text.reserveCapacity((bytes.count + 2) / 3 * 4)
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let group = bytes[start..<min(start + 3, bytes.count)]
    var bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
    bits &= 0xffffff
    for place in 0..<4 {
      text.append(place <= group.count ? alphabet[bits >> (18 - 6 * place) & 63] : 0x3d)
    }
  }
  return String(decoding: text, as: UTF8.self)
}
