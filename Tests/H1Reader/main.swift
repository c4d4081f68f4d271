// Reads byte strings as an HTTP/1.1 connection would, for `deploy/h1-compare`. Standard input: a
// length in decimal, a newline, so many bytes, and again. Standard output: for each of them one
// line of JSON: `requests`, each with `method`, `target`, `headers` and `body` (bytes as numbers
// of Latin-1), `ended` and `refused`, the status of the answer to what is no request.

import Glibc
import HTTP
import JSON
import Posix

func latin1(_ bytes: some Sequence<UInt8>) -> JSON {
  .string(String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })))
}

func read(_ bytes: [UInt8]) -> JSON {
  var parser = H1Parser(headBytes: 32 << 10, headerCount: 100)
  var requests: [JSON] = []
  var head: H1Parser.Head?
  var body: [UInt8] = []
  var refused = JSON.null
  var at = 0

  func take(isWhole: Bool) {
    guard let request = head?.request else { return }
    let target = request.path + (request.query.isEmpty ? "" : "?" + request.query)
    let headers = request.headers.fields.map { field -> JSON in
      .array([.string(field.name.lowercased()), latin1(field.value.utf8)])
    }
    requests.append([
      "method": .string(request.method), "target": .string(target), "headers": .array(headers),
      "body": latin1(body), "ended": .bool(isWhole),
    ])
    head = nil
    body = []
  }

  while let action = parser.next(bytes, &at) {
    switch action {
    case .head(let next): head = next
    case .body(let range): body += bytes[range]
    case .end:
      let keepsAlive = head?.keepsAlive == true
      take(isWhole: true)
      // What follows the last request of a connection is never read.
      if !keepsAlive { return ["requests": .array(requests), "refused": .null, "closed": true] }
    case .refuse(let status, _):
      take(isWhole: false)
      refused = .number("\(status)")
    }
  }
  take(isWhole: false)
  return ["requests": .array(requests), "refused": refused, "closed": false]
}

do {
  let input = FileDescriptor(owning: 0)
  let output = FileDescriptor(owning: 1)
  var pending: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 64 << 10)
  while true {
    if let line = pending.firstIndex(of: 0x0a),
      let count = Int(String(decoding: pending[..<line], as: UTF8.self)),
      pending.count > line + count
    {
      let answer = read(Array(pending[(line + 1)..<(line + 1 + count)])).encoded()
      pending.removeFirst(line + 1 + count)
      try Files.write(answer + [0x0a], to: output)
      continue
    }
    let got = try unsafe chunk.withUnsafeMutableBytes { unsafe try input.read(into: $0) }
    if got == 0 { break }
    pending += chunk[..<got]
  }
} catch {
  print("h1-reader: \(error)")
  exit(1)
}
