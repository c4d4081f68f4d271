/// Every function of templates by its name.
package enum TemplateFunctions {
  static let all: [String: TemplateFunction] = {
    var table: [String: TemplateFunction] = [:]
    // A function of sprig hides the built-in one of its name.
    for function in TemplateBuiltins.functions + Sprig.functions { table[function.name] = function }
    return table
  }()

  /// What answers something else here than in the original, on purpose, and why.
  package static let differences: [String: String] = {
    var reasons = [
      "env": "the process environment holds secrets: the answer is always empty",
      "expandenv": "the process environment holds secrets: every variable is empty",
      "getHostByName": "a template does not reach into the network",
    ]
    for name in unavailable { reasons[name] = "keys and passwords are not made in templates" }
    return reasons
  }()

  /// Functions that parse and then fail.
  static let unavailable = [
    "bcrypt", "htpasswd", "genPrivateKey", "derivePassword", "buildCustomCert", "genCA",
    "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert",
    "genSignedCertWithKey", "encryptAES", "decryptAES",
  ]

  static func make(
    _ name: String,
    _ parameters: TemplateFunction.Parameter...,
    rest: TemplateFunction.Parameter? = nil,
    body: @escaping TemplateFunction.Body
  ) -> TemplateFunction {
    TemplateFunction(name: name, parameters: parameters, rest: rest, body: body)
  }
}

/// The functions of sprig, for every language that has them.
package enum Sprig {
  static let functions: [TemplateFunction] =
    strings + words + encodings + lists + dicts + numbers + decimals + dates + defaults + json
    + types + patterns + addresses + others

  private static let table = Dictionary(uniqueKeysWithValues: functions.map { ($0.name, $0) })

  package static var names: Set<String> { Set(table.keys) }

  /// Calls a function from outside of a template; arguments are not converted.
  /// - Throws: `TemplateFailure` for an unknown function, arguments that do not fit, or what the
  ///   function itself refuses.
  package static func call(
    _ name: String,
    _ arguments: [GoValue],
    _ account: inout TemplateAccount
  ) throws(TemplateFailure) -> GoValue {
    guard let function = table[name] else { throw TemplateFailure("no function \(name)") }
    guard function.takes(arguments.count) else {
      throw TemplateFailure(
        "wrong number of args for \(name): want \(function.countText) got \(arguments.count)"
      )
    }
    var checked: [GoValue] = []
    for (place, argument) in arguments.enumerated() {
      checked.append(try function.parameter(place).checked(argument))
    }
    try account.work()
    let result = try function.body(checked, &account)
    try account.count(result)
    return result
  }
}

extension GoValue {
  /// The argument of a string parameter.
  var text: ByteString {
    guard case .string(let text) = self else { return "" }
    return text
  }

  /// The argument of an int parameter.
  var number: Int {
    guard case .int(let value) = self else { return 0 }
    return value
  }

  var dict: GoMap {
    guard case .map(let map) = self else { return GoMap([:], isNil: true) }
    return map
  }
}
