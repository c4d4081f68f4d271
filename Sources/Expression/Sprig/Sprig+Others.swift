extension Sprig {
  private typealias Make = TemplateFunctions

  static let others: [TemplateFunction] =
    [
      Make.make("env", .string) { _, _ in .string("") },
      Make.make("expandenv", .string) { arguments, _ in
        .string(withoutVariables(arguments[0].text))
      },
      Make.make("getHostByName", .string) { (_, _) throws(TemplateFailure) in
        throw TemplateFailure("is not available here")
      },
      Make.make("semver", .string) { (arguments, _) throws(TemplateFailure) in
        .version(try version(arguments[0].text))
      },
      Make.make("semverCompare", .string, .string) { (arguments, _) throws(TemplateFailure) in
        guard let constraint = VersionConstraint(arguments[0].text.description) else {
          throw TemplateFailure("improper constraint: \(arguments[0].text)")
        }
        return .bool(constraint.admits(try version(arguments[1].text)))
      },
      Make.make("uuidv4") { _, account in .string(uuid(account.world)) },
      Make.make("shuffle", .string) { arguments, account in
        var runes = arguments[0].text.runes.map(\.rune.scalar)
        for place in runes.indices.dropFirst().reversed() {
          runes.swapAt(place, Int(account.world.random() % UInt64(place + 1)))
        }
        var out: [UInt8] = []
        for scalar in runes { out.append(scalar) }
        return .string(ByteString(out))
      },
      Make.make("randBytes", .int) { (arguments, account) throws(TemplateFailure) in
        base64Text(try random(arguments[0].number, Array(0...255), account))
      },
    ]
    + [
      ("randAlphaNum", digits + letters), ("randAlpha", letters), ("randNumeric", digits),
      ("randAscii", Array(0x20...0x7e)),
    ].map { (name: String, alphabet: [UInt8]) in
      Make.make(name, .int) { (arguments, account) throws(TemplateFailure) in
        .string(ByteString(try random(arguments[0].number, alphabet, account)))
      }
    }
    + TemplateFunctions.unavailable.map { name in
      Make.make(name, rest: .any) { (_, _) throws(TemplateFailure) in
        throw TemplateFailure("is not available here: keys are not made in templates")
      }
    }

  private static let digits = Array("0123456789".utf8)
  private static let letters = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

  private static func version(_ text: ByteString) throws(TemplateFailure) -> SemanticVersion {
    guard let version = SemanticVersion(text.description) else {
      throw TemplateFailure("invalid semantic version")
    }
    return version
  }

  private static func random(
    _ count: Int,
    _ alphabet: [UInt8],
    _ account: TemplateAccount
  ) throws(TemplateFailure) -> [UInt8] {
    guard count <= account.room else { throw GoPrinter.tooLong }
    return (0..<max(0, count)).map { _ in
      alphabet[Int(account.world.random() % UInt64(alphabet.count))]
    }
  }

  /// RFC 9562 section 5.4.
  private static func uuid(_ world: TemplateWorld) -> String {
    let high = world.random() & 0xffff_ffff_ffff_0fff | 0x4000
    let low = world.random() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
    func hex(_ value: UInt64) -> String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }
    let text = Array((hex(high) + hex(low)).utf8)
    return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
      .map { String(decoding: text[$0], as: UTF8.self) }.joined(separator: "-")
  }

  /// `os.ExpandEnv` where no variable is set.
  private static func withoutVariables(_ text: ByteString) -> ByteString {
    var out: [UInt8] = []
    var rest = text.bytes
    while let byte = rest.first {
      rest.removeFirst()
      guard byte == 0x24, let first = rest.first else {
        out.append(byte)
        continue
      }
      if first == 0x7b {
        // Braces that do not close, or hold nothing, are eaten.
        guard let close = rest.firstIndex(of: 0x7d) else {
          rest.removeFirst()
          continue
        }
        rest = rest[(close + 1)...]
      } else if "*#$@!?-0123456789".utf8.contains(first) {
        rest.removeFirst()
      } else {
        let name = rest.prefix { $0 == 0x5f || (UInt8(0x30)...0x39).contains($0) || isLetter($0) }
        if name.isEmpty { out.append(byte) }
        rest = rest.dropFirst(name.count)
      }
    }
    return ByteString(out)
  }

  private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5a).contains(byte & 0xdf) }
}
