import HTTP
import JSON
import Manifest

/// How a source whose sender gives no delivery ids knows a repetition:
///
///     signalbox: {deduplicateBy: {header: X-Request-Id}}   what its sender says
///     signalbox: {deduplicateBy: {path: body.order.id}}    what is in it, by a GJSON path over data
///
/// With a header the bodies are compared too: another body under the same value is another event,
/// and is reported as a conflict. With a path the rest may differ. A request without the value is
/// an event of its own.
struct Deduplication: Sendable {
  /// What names a request.
  struct Name: Equatable {
    let value: String
    /// Whether a request of this name with another body is another event.
    let comparesBodies: Bool
  }

  private enum Key {
    case header(String)
    case path(JSONPath)
  }

  private let key: Key

  /// Reads `deduplicateBy` from an event's `signalbox` block; nil where there is none that can be
  /// used.
  init?(from own: Block?) {
    guard let block = own?.block("deduplicateBy") else { return nil }
    let header = block.string("header")
    let path = block.string("path")
    block.finish()
    switch (header, path) {
    case (let header?, nil):
      let isName = !header.isEmpty && header.utf8.allSatisfy { isToken($0) }
      guard isName else {
        block.error("header", "found '\(header)', expected the name of a header")
        return nil
      }
      key = .header(header)
    case (nil, let path?):
      guard !path.isEmpty else {
        block.error("path", "found an empty path, expected one such as body.id")
        return nil
      }
      do throws(JSONPathError) { key = .path(try JSONPath(path)) } catch {
        block.error("path", "\(error)")
        return nil
      }
    default:
      block.error(nil, "found \(header == nil ? "neither" : "both"), expected one of header, path")
      return nil
    }
  }

  /// The name of a request with these headers that became an event with `data`; nil where it has
  /// none.
  func name(_ headers: Headers, data: [UInt8]) -> Name? {
    switch key {
    case .header(let header):
      let values = headers.values(header)
      guard values.count == 1, !values[0].isEmpty else { return nil }
      return Name(value: values[0], comparesBodies: true)
    case .path(let path):
      guard let document = try? JSONDocument(data), let value = document.value(at: path),
        value.kind != .null, !value.string.isEmpty
      else { return nil }
      return Name(value: value.string, comparesBodies: false)
    }
  }
}

/// Whether a byte may stand in a header's name (RFC 9110, section 5.6.2).
private func isToken(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
  default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
  }
}
