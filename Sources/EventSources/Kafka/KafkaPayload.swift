import Event
import JSON
import KafkaClient

/// Makes payloads of messages (spec section 1.3): `topic`, `key`, `partition`, `body`, `timestamp`,
/// `headers` and, unless it is empty, `metadata`. A body is base64, with `jsonBody` the JSON as it
/// was sent; a tombstone's is null.
struct KafkaPayloads {
  private let jsonBody: Bool
  /// From `metadata` on to the end.
  private let tail: [UInt8]
  private var clock = GoClock()

  init(jsonBody: Bool, metadata: [JSON.Member]) {
    self.jsonBody = jsonBody
    var tail: [UInt8] = []
    if !metadata.isEmpty {
      tail += ",\"metadata\":".utf8
      JSON.object(metadata).append(to: &tail)
    }
    tail.append(0x7d)
    self.tail = tail
  }

  /// - Throws: `JSONError` with `jsonBody` for a body that is no JSON.
  mutating func payload(_ message: KafkaMessage) throws(JSONError) -> [UInt8] {
    var out: [UInt8] = []
    let value = message.value ?? []
    out.reserveCapacity(value.count + (jsonBody ? 0 : value.count / 3) + tail.count + 256)
    out += "{\"topic\":".utf8
    JSON.appendString(message.topic, to: &out)
    out += ",\"key\":".utf8
    JSON.appendString(String(decoding: message.key ?? [], as: UTF8.self), to: &out)
    out += ",\"partition\":\(message.partition),\"body\":".utf8
    if message.value == nil {
      out += "null".utf8
    } else if jsonBody {
      out += try JSONDocument(value).root.raw
    } else {
      out.append(0x22)
      out += Base64.encode(value[...])
      out.append(0x22)
    }
    out += ",\"timestamp\":\"".utf8
    clock.append(message.timestampMilliseconds, to: &out)
    out += "\",\"headers\":".utf8
    if message.headers.isEmpty {
      out += "{}".utf8
    } else {
      headers(message.headers).append(to: &out)
    }
    out += tail
    return out
  }
}

/// By name; the last of a name wins.
private func headers(_ headers: [KafkaHeader]) -> JSON {
  var values: [String: String] = [:]
  for header in headers {
    values[header.name] = String(decoding: header.value ?? [], as: UTF8.self)
  }
  return .object(
    values.sorted { $0.key < $1.key }.map { JSON.Member(key: $0.key, value: .string($0.value)) }
  )
}

/// Instants as Go prints them in UTC: `2024-05-06 07:08:09.123 +0000 UTC`; Go's zero time for none.
/// Messages of one second are told by its text, made once.
private struct GoClock {
  private var second: Int64 = -1
  private var text: [UInt8] = []

  mutating func append(_ milliseconds: Int64?, to out: inout [UInt8]) {
    guard let milliseconds else {
      out += "0001-01-01 00:00:00 +0000 UTC".utf8
      return
    }
    // The year 9999, or as far as nanoseconds go; a sender may put any number into a message.
    let bounded = min(max(milliseconds, 0), Int64.max / 1_000_000)
    if bounded / 1000 != second {
      second = bounded / 1000
      let whole = Timestamp(nanoseconds: second * 1_000_000_000).wholeSeconds
      text = whole.utf8.dropLast().map { $0 == 0x54 ? 0x20 : $0 }
    }
    out += text
    var fraction = bounded % 1000
    if fraction > 0 {
      out.append(0x2e)
      var unit: Int64 = 100
      while fraction > 0 {
        out.append(UInt8(0x30 + fraction / unit))
        fraction %= unit
        unit /= 10
      }
    }
    out += " +0000 UTC".utf8
  }
}
