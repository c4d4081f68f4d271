import Event
import JSON

/// Why there is no message to send.
struct MailProblem: Error, CustomStringConvertible {
  let description: String
}

/// A message of plain text (RFC 5322) whose parts may come from events: nothing of them can begin
/// a line of the head.
struct MailMessage {
  /// The envelope's addresses.
  let sender: String
  let recipients: [String]
  let bytes: [UInt8]

  /// A server need not take more at once (RFC 5321 section 4.5.3.1.8).
  static let recipientsMax = 100
  static let bodyBytesMax = 10 << 20

  /// - Parameters:
  ///   - id: the same for each repetition of the same message.
  ///   - seconds: since 1970.
  init(
    from: String,
    to: [String],
    subject: String,
    body: String,
    id: String,
    seconds: Int
  ) throws(MailProblem) {
    guard !to.isEmpty else { throw MailProblem(description: "to can't be empty") }
    guard !subject.isEmpty else { throw MailProblem(description: "subject can't be empty") }
    guard !body.isEmpty else { throw MailProblem(description: "body can't be empty") }
    guard to.count <= Self.recipientsMax, body.utf8.count <= Self.bodyBytesMax else {
      throw MailProblem(
        description: "more than \(Self.recipientsMax) addresses, or a body of more than 10 MiB"
      )
    }
    sender = try Self.address(from, "from")
    var recipients: [String] = []
    for address in to { recipients.append(try Self.address(address, "to")) }
    self.recipients = recipients
    let domain = sender.split(separator: "@").last.map(String.init) ?? "signalbox"
    var lines = [
      "From: <\(sender)>", "To: " + recipients.map { "<\($0)>" }.joined(separator: ",\r\n "),
      "Subject: " + Self.headerText(subject), "Date: " + Self.date(seconds),
      "Message-ID: <\(id)@\(domain)>", "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=utf-8", "Auto-Submitted: auto-generated",
    ]
    let text = body.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
    let isPlain = text.utf8.allSatisfy { ($0 >= 0x20 && $0 < 0x7f) || $0 == 0x0a || $0 == 0x09 }
    let longest = text.utf8.split(separator: 0x0a).map(\.count).max() ?? 0
    if isPlain, longest <= 900 {
      lines.append("Content-Transfer-Encoding: 7bit")
      lines.append("")
      lines += text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    } else {
      lines.append("Content-Transfer-Encoding: base64")
      lines.append("")
      let whole = Array(text.replacing("\n", with: "\r\n").utf8)
      let encoded = Base64.encode(whole[...])
      lines += stride(from: 0, to: encoded.count, by: 76).map { start in
        String(decoding: encoded[start..<min(start + 76, encoded.count)], as: UTF8.self)
      }
    }
    bytes = Array((lines.joined(separator: "\r\n") + "\r\n").utf8)
  }

  /// The address alone, of `a@b.example` or `Name <a@b.example>`.
  private static func address(_ text: String, _ field: String) throws(MailProblem) -> String {
    var address = text.trimmingBlanks
    if address.hasSuffix(">"), let open = address.lastIndex(of: "<") {
      address = String(address[address.index(after: open)...].dropLast())
    }
    let parts = address.split(separator: "@", omittingEmptySubsequences: false)
    let isFit = address.utf8.allSatisfy {
      $0 > 0x20 && $0 < 0x7f && !"<>()[]\\,;:\"".utf8.contains($0)
    }
    // What is left out of a name with an address must be a name.
    let hasControls = text.utf8.contains { $0 < 0x20 || $0 == 0x7f }
    guard !hasControls, parts.count == 2, isFit, parts.allSatisfy({ !$0.isEmpty }),
      address.utf8.count <= 254
    else {
      throw MailProblem(description: "\(field): '\(text.prefix(100))' is no address")
    }
    return address
  }

  /// A text in the head: as it is, or in encoded words (RFC 2047) of whole characters.
  private static func headerText(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
    if isPlain, text.utf8.count <= 200, !text.contains("=?") { return text }
    var words: [String] = []
    var part: [UInt8] = []
    for character in text {
      let bytes = Array(String(character).utf8).map { $0 < 0x20 || $0 == 0x7f ? 0x20 : $0 }
      if part.count + bytes.count > 45, !part.isEmpty {
        words.append(encodedWord(part))
        part = []
      }
      part += bytes
    }
    words.append(encodedWord(part))
    return words.joined(separator: "\r\n ")
  }

  private static func encodedWord(_ bytes: [UInt8]) -> String {
    "=?utf-8?B?" + String(decoding: Base64.encode(bytes[...]), as: UTF8.self) + "?="
  }

  /// RFC 5322 section 3.3, in UTC.
  private static func date(_ seconds: Int) -> String {
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    // `2006-01-02T15:04:05Z`; the first day of 1970 was a Thursday.
    let text = Timestamp(nanoseconds: Int64(seconds) * 1_000_000_000).wholeSeconds
    let parts = text.split { "-T:Z".contains($0) }.map(String.init)
    guard parts.count == 6, let month = Int(parts[1]), (1...12).contains(month) else { return text }
    return "\(days[max(0, seconds / 86_400 % 7)]), \(parts[2]) \(months[month - 1]) \(parts[0]) "
      + "\(parts[3]):\(parts[4]):\(parts[5]) +0000"
  }
}

extension String {
  fileprivate var trimmingBlanks: String {
    var text = self[...]
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return String(text)
  }
}
