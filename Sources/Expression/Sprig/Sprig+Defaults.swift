extension Sprig {
  private typealias Make = TemplateFunctions

  static let defaults: [TemplateFunction] = [
    Make.make("default", .any, rest: .any) { arguments, _ in
      arguments.count > 1 && arguments[1].isTrue ? arguments[1] : arguments[0]
    },
    Make.make("empty", .any) { arguments, _ in .bool(!arguments[0].isTrue) },
    Make.make("coalesce", rest: .any) { arguments, _ in arguments.first(where: \.isTrue) ?? .null },
    Make.make("all", rest: .any) { arguments, _ in .bool(arguments.allSatisfy(\.isTrue)) },
    Make.make("any", rest: .any) { arguments, _ in .bool(arguments.contains(where: \.isTrue)) },
    Make.make("ternary", .any, .any, .bool) { arguments, _ in
      arguments[2].isTrue ? arguments[0] : arguments[1]
    },
    Make.make("fail", .string) { (arguments, _) throws(TemplateFailure) in
      throw TemplateFailure(arguments[0].text.description)
    },
  ]

  static let json: [TemplateFunction] = [
    encoder("toJson", fails: false), encoder("mustToJson", fails: true),
    encoder("toPrettyJson", indent: 2, fails: false),
    encoder("mustToPrettyJson", indent: 2, fails: true),
    encoder("toRawJson", escapes: false, fails: true),
    encoder("mustToRawJson", escapes: false, fails: true),
    Make.make("fromJson", .string) { (arguments, account) throws(TemplateFailure) in
      try account.work(arguments[0].text.count / 16)
      return TemplateJSON.decoded(arguments[0].text) ?? .null
    },
    Make.make("mustFromJson", .string) { (arguments, account) throws(TemplateFailure) in
      try account.work(arguments[0].text.count / 16)
      guard let value = TemplateJSON.decoded(arguments[0].text) else {
        throw TemplateFailure("the text is not JSON")
      }
      return value
    },
  ]

  private static func encoder(
    _ name: String,
    indent: Int = 0,
    escapes: Bool = true,
    fails: Bool
  ) -> TemplateFunction {
    Make.make(name, .any) { (arguments, account) throws(TemplateFailure) in
      var writer = TemplateJSON(limit: account.room, indent: indent, escapesHTML: escapes)
      do throws(TemplateFailure) {
        try writer.append(arguments[0])
        return .string(ByteString(writer.out))
      } catch {
        if fails || error.isLimit { throw error }
        return .string("")
      }
    }
  }

  static let types: [TemplateFunction] = [
    Make.make("typeOf", .any) { arguments, _ in .string(arguments[0].typeName) },
    Make.make("typeIs", .string, .any) { arguments, _ in
      .bool(arguments[0].text.description == arguments[1].typeName)
    },
    Make.make("typeIsLike", .string, .any) { arguments, _ in
      let (wanted, found) = (arguments[0].text.description, arguments[1].typeName)
      return .bool(wanted == found || "*" + wanted == found)
    },
    Make.make("kindOf", .any) { arguments, _ in .string(arguments[0].kindName) },
    Make.make("kindIs", .string, .any) { arguments, _ in
      .bool(arguments[0].text.description == arguments[1].kindName)
    },
    Make.make("deepEqual", .any, .any) { (arguments, account) throws(TemplateFailure) in
      .bool(try GoEquality.isDeepEqual(arguments[0], arguments[1], &account))
    },
  ]
}
