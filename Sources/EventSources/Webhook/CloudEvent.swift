import Event
import HTTP
import JSON

/// An event of CloudEvents 1.0 as its sender wrote it, in the binary or the structured mode of the
/// HTTP binding.
struct CloudEvent {
  /// Why a request is none; the words hold nothing of what was sent but the names of attributes.
  struct Problem: Error, Equatable {
    let words: String

    init(_ words: String) { self.words = words }
  }

  let id: String
  let source: String
  let type: String
  /// nil where the sender gave none.
  let time: Timestamp?
  /// Every attribute but the data, extensions included.
  let attributes: [JSON.Member]
  /// JSON: the data where they are JSON; a string where they are text; base64 of anything else.
  let body: [UInt8]

  /// Events in one batch.
  private static let mostEvents = 1000

  /// The events of a request; nil when it is not about CloudEvents.
  /// - Throws: `Problem`.
  static func events(in request: Request) throws(Problem) -> [CloudEvent]? {
    switch mediaType(request.head.headers) {
    case "application/cloudevents+json":
      return [try CloudEvent(structured: try json(request.body))]
    case "application/cloudevents-batch+json":
      guard case .array(let items) = try json(request.body) else {
        throw Problem("the batch is no list")
      }
      guard items.count <= mostEvents else {
        throw Problem("the batch has more than \(mostEvents) events")
      }
      var events: [CloudEvent] = []
      for item in items { events.append(try CloudEvent(structured: item)) }
      return events
    default:
      guard request.head.headers["ce-specversion"] != nil else { return nil }
      return [try CloudEvent(binary: request)]
    }
  }

  private static func json(_ body: [UInt8]) throws(Problem) -> JSON {
    do throws(JSONError) { return try JSON(parsing: body) } catch {
      throw Problem("the body is not JSON: byte \(error.offset)")
    }
  }

  // MARK: Structured

  private init(structured value: JSON) throws(Problem) {
    guard case .object(let members) = value else { throw Problem("an event is no JSON object") }
    var attributes: [JSON.Member] = []
    var data: JSON?
    var bytes: [UInt8]?
    for member in members {
      switch (member.key, member.value) {
      case ("data", let value): data = value
      case ("data_base64", .string(let text)):
        guard let decoded = Base64.decode(Array(text.utf8)[...]) else {
          throw Problem("data_base64 is no base64")
        }
        bytes = decoded
      case ("data_base64", _): throw Problem("data_base64 is no string")
      case (_, .null): break
      case (_, .array), (_, .object): throw Problem("an attribute is no string, number or boolean")
      default: attributes.append(member)
      }
    }
    if data != nil, bytes != nil { throw Problem("there are both data and data_base64") }
    let type = attributes.text("datacontenttype")
    try self.init(
      attributes,
      body: bytes.map { Self.body($0, type: type ?? "application/json") }
        ?? (data ?? .null).encoded()
    )
  }

  // MARK: Binary

  private init(binary request: Request) throws(Problem) {
    var attributes: [JSON.Member] = []
    for field in request.head.headers.fields {
      let name = field.name.lowercased()
      guard name.hasPrefix("ce-") else { continue }
      attributes.append(
        .init(key: String(name.dropFirst(3)), value: .string(Self.decoded(field.value)))
      )
    }
    let type = request.head.headers["Content-Type"]
    if let type { attributes.append(.init(key: "datacontenttype", value: .string(type))) }
    try self.init(
      attributes,
      body: request.body.isEmpty ? Array("null".utf8) : Self.body(request.body, type: type ?? "")
    )
  }

  /// Percent-encoding undone; what is none stays as it is.
  private static func decoded(_ text: String) -> String {
    var out: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == 0x25, rest.count >= 2,
        let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        out.append(value)
        rest = rest.dropFirst(2)
      } else {
        out.append(byte)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  // MARK: Both

  private init(_ attributes: [JSON.Member], body: [UInt8]) throws(Problem) {
    var seen: Set<String> = []
    for attribute in attributes {
      let isName = attribute.key.utf8.allSatisfy {
        (0x61...0x7a).contains($0) || (0x30...0x39).contains($0)
      }
      guard isName, !attribute.key.isEmpty, attribute.key.utf8.count <= 256 else {
        throw Problem("an attribute's name is not of lower-case letters and digits")
      }
      guard seen.insert(attribute.key).inserted else {
        throw Problem("the attribute \(attribute.key) is there more than once")
      }
    }
    guard attributes.text("specversion") == "1.0" else { throw Problem("specversion is not 1.0") }
    func required(_ name: String) throws(Problem) -> String {
      guard let text = attributes.text(name), !text.isEmpty else {
        throw Problem("\(name) is missing or empty")
      }
      guard text.utf8.count <= 2048, text.unicodeScalars.allSatisfy({ $0.value >= 0x20 }) else {
        throw Problem("\(name) is too long or has control characters")
      }
      return text
    }
    id = try required("id")
    source = try required("source")
    type = try required("type")
    if let text = attributes.text("time") {
      guard let parsed = Timestamp(rfc3339: text) else { throw Problem("time is not of RFC 3339") }
      time = parsed
    } else {
      time = nil
    }
    self.attributes = attributes
    self.body = body
  }

  private static func body(_ bytes: [UInt8], type: String) -> [UInt8] {
    let media = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
    if media == "application/json" || media.hasSuffix("+json"),
      let document = try? JSONDocument(bytes)
    {
      return Array(document.root.raw)
    }
    if media.hasPrefix("text/"), let text = String(validating: bytes, as: UTF8.self) {
      return JSON.string(text).encoded()
    }
    return JSON.string(String(decoding: Base64.encode(bytes[...]), as: UTF8.self)).encoded()
  }
}

extension [JSON.Member] {
  fileprivate func text(_ name: String) -> String? {
    guard case .string(let text)? = first(where: { $0.key == name })?.value else { return nil }
    return text
  }
}
