/// Looking into and changing trees.
extension JSON {
  /// The value behind `keys`; nil where one of them leads nowhere.
  package func at(_ keys: String...) -> JSON? { at(keys) }

  package func at(_ keys: [String]) -> JSON? {
    var value = self
    for key in keys {
      guard let next = value[key] else { return nil }
      value = next
    }
    return value
  }

  /// The text of a string; nil for anything else.
  package var asString: String? {
    if case .string(let text) = self { return text }
    return nil
  }

  /// A whole number; nil for anything else.
  package var wholeNumber: Int? {
    if case .number(let text) = self { return Int(text) }
    return nil
  }

  /// The items of an array; none for anything else.
  package var items: [JSON] {
    if case .array(let items) = self { return items }
    return []
  }

  /// The members of an object; none for anything else.
  package var members: [Member] {
    if case .object(let members) = self { return members }
    return []
  }

  /// Puts `value` behind `keys`, making objects on the way; nil removes what is there.
  package mutating func set(_ value: JSON?, at keys: String...) { set(value, at: keys[...]) }

  package mutating func set(_ value: JSON?, at keys: ArraySlice<String>) {
    guard let key = keys.first else {
      self = value ?? .null
      return
    }
    var members = self.members
    let place = members.firstIndex { $0.key == key }
    if keys.count == 1 && value == nil {
      if let place { members.remove(at: place) }
    } else if let place {
      members[place].value.set(value, at: keys.dropFirst())
    } else if value != nil {
      var child = JSON.object([])
      child.set(value, at: keys.dropFirst())
      members.append(Member(key: key, value: child))
    } else {
      return
    }
    self = .object(members)
  }

  /// What a merge patch makes of it (RFC 7386): null removes, arrays are replaced whole.
  package func merged(with patch: JSON) -> JSON {
    guard case .object(let changes) = patch else { return patch }
    var members = self.members
    for change in changes {
      let place = members.firstIndex { $0.key == change.key }
      if change.value == .null {
        if let place { members.remove(at: place) }
      } else if let place {
        members[place].value = members[place].value.merged(with: change.value)
      } else {
        members.append(Member(key: change.key, value: JSON.object([]).merged(with: change.value)))
      }
    }
    return .object(members)
  }
}
