package import JSON
import Manifest

/// Where a forge is and as whom it is called, as it is written to the log: secrets by their names.
extension ForgeAccess {
  /// nil where it cannot be called.
  package var record: JSON? {
    guard let root, let login else { return nil }
    var members: [JSON.Member] = [
      .init(key: "kind", value: .string(kind.rawValue)), .init(key: "root", value: .string(root)),
      .init(key: "login", value: login.record),
    ]
    for (key, selector) in [
      ("authorities", authorities), ("certificate", certificate), ("key", key),
    ] {
      if let selector { members.append(.init(key: key, value: selector.record)) }
    }
    return .object(members)
  }

  /// nil where `record` is not in a form this version knows.
  package init?(record: JSON) {
    guard let kind = record["kind"]?.asString.flatMap(ForgeKind.init(rawValue:)),
      let root = record["root"]?.asString,
      let login = record["login"].flatMap(ForgeLogin.init(record:))
    else { return nil }
    self.init(
      kind,
      root: root,
      login,
      authorities: SecretSelector(record: record["authorities"]),
      certificate: SecretSelector(record: record["certificate"]),
      key: SecretSelector(record: record["key"])
    )
  }
}

extension ForgeLogin {
  fileprivate var record: JSON {
    switch way {
    case .token(let token): ["token": token.record]
    case .basic(let user, let password): ["user": user.record, "password": password.record]
    case .app(let key, let appID, let installationID):
      [
        "privateKey": key.record, "appID": JSON(appID), "installationID": JSON(installationID),
      ]
    }
  }

  fileprivate init?(record: JSON) {
    if let token = SecretSelector(record: record["token"]) {
      self.init(.token(token))
    } else if let user = SecretSelector(record: record["user"]),
      let password = SecretSelector(record: record["password"])
    {
      self.init(.basic(user: user, password: password))
    } else if let key = SecretSelector(record: record["privateKey"]),
      let appID = record["appID"]?.wholeNumber,
      let installationID = record["installationID"]?.wholeNumber
    {
      self.init(.app(privateKey: key, appID: appID, installationID: installationID))
    } else {
      return nil
    }
  }
}

extension SecretSelector {
  fileprivate var record: JSON { ["name": .string(name), "key": .string(key)] }

  fileprivate init?(record: JSON?) {
    guard let name = record?["name"]?.asString, let key = record?["key"]?.asString else {
      return nil
    }
    self.init(name: name, key: key, mark: Mark(file: "the log", line: 0, column: 0))
  }
}
