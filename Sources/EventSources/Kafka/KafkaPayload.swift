import Event
import JSON
import KafkaClient

/// The payload of a message (spec section 1.3): `topic`, `key`, `partition`, `body`, `timestamp`,
/// `headers` and, unless it is empty, `metadata`. A body is base64, with `jsonBody` the JSON as it
/// was sent; a tombstone's is null.
/// - Throws: `JSONError` with `jsonBody` for a body that is no JSON.
func kafkaPayload(
  _ message: KafkaMessage,
  jsonBody: Bool,
  metadata: [JSON.Member]
) throws(JSONError) -> [UInt8] {
  var out: [UInt8] = []
  let value = message.value ?? []
  out.reserveCapacity(value.count * (jsonBody ? 1 : 2) + 256)
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
  out += ",\"timestamp\":".utf8
  JSON.appendString(goTime(message.timestampMilliseconds), to: &out)
  out += ",\"headers\":".utf8
  headers(message.headers).append(to: &out)
  if !metadata.isEmpty {
    out += ",\"metadata\":".utf8
    JSON.object(metadata).append(to: &out)
  }
  out.append(0x7d)
  return out
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

/// An instant as Go prints it in UTC: `2024-05-06 07:08:09.123 +0000 UTC`; Go's zero time for none.
private func goTime(_ milliseconds: Int64?) -> String {
  guard let milliseconds else { return "0001-01-01 00:00:00 +0000 UTC" }
  // The year 9999; a sender may put any number into a message.
  let bounded = min(max(milliseconds, 0), 253_402_300_799_999)
  let nanoseconds = bounded.multipliedReportingOverflow(by: 1_000_000)
  let time = Timestamp(nanoseconds: nanoseconds.overflow ? Int64.max : nanoseconds.partialValue)
  return time.description.dropLast().replacing("T", with: " ") + " +0000 UTC"
}
