import Event
import HTTP
import JSON
import Plugin

/// The payload of a webhook-like source, its body's bytes as they were sent (spec section 1.3).
/// - Parameter further: Members of our own behind the known ones, as text without braces.
func payload(
  headersKey: String,
  _ headers: Headers,
  body: some Sequence<UInt8>,
  metadata: [JSON.Member],
  further: ArraySlice<UInt8> = []
) -> [UInt8] {
  let members = headers.canonical.map { name, values in
    let isMasked = maskedHeaders.contains(name)
    return JSON.Member(
      key: name,
      value: .array(values.map { .string(isMasked ? mask : $0) })
    )
  }
  var out: [UInt8] = []
  // Headers and metadata beside them are short.
  out.reserveCapacity(body.underestimatedCount + further.count + 2048)
  out.append(0x7b)
  JSON.appendString(headersKey, to: &out)
  out.append(0x3a)
  JSON.object(members).append(to: &out)
  out += ",\"body\":".utf8
  out += body
  if !metadata.isEmpty {
    out += ",\"metadata\":".utf8
    JSON.object(metadata).append(to: &out)
  }
  if !further.isEmpty {
    out.append(0x2c)
    out += further
  }
  out.append(0x7d)
  return out
}

/// Headers whose values are secrets of the sender.
private let maskedHeaders: Set<String> = ["Authorization", "Cookie", "X-Gitlab-Token"]
private let mask = "*** Masked Auth Secret ***"

/// Stores the event and answers its sender: 202 for a new one, 200 for one that is stored already
/// or that the source's filter does not want.
func store(
  _ event: Event,
  _ name: EventSourceName,
  _ host: any SourceHost
) async -> Response {
  await store([event], name, host)
}

/// Stores what one request tells and answers its sender, 202 where anything of it is new. The id
/// is the first one's; several are in `ids`.
func store(
  _ events: [Event],
  _ name: EventSourceName,
  _ host: any SourceHost
) async -> Response {
  var kept: [(id: String, isDuplicate: Bool)] = []
  do throws(SinkError) {
    let stored = try await host.append(events, places: [], from: name)
    for (event, stored) in zip(events, stored) where !stored.isFiltered {
      kept.append((stored.otherID ?? event.id, stored.isDuplicate))
    }
  } catch {
    switch error {
    case .tooLarge: return refusal(413, "the event is larger than the bus takes")
    case .unavailable:
      host.countRefused(name, "unavailable")
      var response = refusal(503, "the event cannot be stored now, try again")
      response.headers.add("Retry-After", "5")
      return response
    }
  }
  guard let first = kept.first else {
    return .json(200, JSON.object([.init(key: "filtered", value: true)]).encoded() + [0x0a])
  }
  let isDuplicate = kept.allSatisfy(\.isDuplicate)
  var answer: [JSON.Member] = [.init(key: "id", value: .string(first.id))]
  if kept.count > 1 {
    answer.append(.init(key: "ids", value: .array(kept.map { .string($0.id) })))
  }
  if isDuplicate { answer.append(.init(key: "duplicate", value: true)) }
  return .json(isDuplicate ? 200 : 202, JSON.object(answer).encoded() + [0x0a])
}

/// An answer that says why; the reason never contains what was sent.
func refusal(_ status: Int, _ why: String) -> Response {
  let body: JSON = ["error": .string(why)]
  return .json(status, body.encoded() + [0x0a])
}

/// `application/json` of `Application/JSON; charset=utf-8`.
func mediaType(_ headers: Headers) -> String {
  let value = headers["Content-Type"] ?? ""
  return value.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
}

/// The fields of a form or a query, percent-encoding undone; in order, values of a name together.
func formFields(_ text: String) -> [JSON.Member] {
  var order: [String] = []
  var values: [String: [JSON]] = [:]
  for pair in text.split(separator: "&") {
    let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = percentDecoded(parts[0])
    if values[name] == nil { order.append(name) }
    values[name, default: []].append(.string(parts.count > 1 ? percentDecoded(parts[1]) : ""))
  }
  return order.map { .init(key: $0, value: .array(values[$0] ?? [])) }
}

private func percentDecoded(_ text: Substring) -> String {
  var out: [UInt8] = []
  let bytes = Array(text.utf8)
  var at = 0
  while at < bytes.count {
    if bytes[at] == 0x25, at + 2 < bytes.count,
      let byte = UInt8(String(decoding: bytes[at + 1...at + 2], as: UTF8.self), radix: 16)
    {
      out.append(byte)
      at += 3
    } else {
      out.append(bytes[at] == 0x2b ? 0x20 : bytes[at])
      at += 1
    }
  }
  return String(decoding: out, as: UTF8.self)
}
