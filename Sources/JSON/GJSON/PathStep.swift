// A compiled path. What a component means depends on what it meets, an object or an array, and so
// does where it ends: each step holds both readings.

/// How a path begins, anew behind each pipe.
indirect enum PathStart: Sendable {
  case modifier(Modifier, rest: PathStart?)
  /// A value that stands in the path itself.
  case literal([UInt8], rest: PathStart?)
  /// `[…]` or `{…}` with paths in it.
  case members([PathMember], isObject: Bool, rest: PathStart?)
  /// The text is one value after another.
  case lines(ElementStep)
  case step(PathStep)
}

struct PathMember: Sendable {
  /// With its quotes.
  let key: [UInt8]
  let path: PathStart
}

final class PathStep: Sendable {
  let member: MemberStep
  let element: ElementStep

  init(member: MemberStep, element: ElementStep) {
    self.member = member
    self.element = element
  }
}

/// A component on an object.
struct MemberStep: Sendable {
  let name: [UInt8]
  let isWild: Bool
  let next: PathStep?
  /// What the result goes through in the end; taken up by reading the component.
  let pipe: PathStart?

  func matches(_ key: ArraySlice<UInt8>) -> Bool {
    if key.contains(0x5c) {
      let plain = looselyUnescaped(key)
      return isWild ? fits(plain[...], name) : plain == name
    }
    return isWild ? fits(key, name) : key.elementsEqual(name)
  }
}

/// A component on an array.
struct ElementStep: Sendable {
  enum Selection: Sendable {
    /// -1 for what no element answers to.
    case index(Int)
    case count
    case each(PathStart, pipe: PathStart?)
    case query(PathQuery)
  }

  let selection: Selection
  let next: PathStep?
  /// What the result goes through in the end; taken up by reading the component.
  let pipe: PathStart?
}

/// `#(path operator value)`.
struct PathQuery: Sendable {
  enum Comparison: Sendable {
    case exists, equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, like, unlike, never
  }

  /// `~…`: what the value found is turned into before it is compared with true.
  enum Truth: Sendable { case exists, null, `true`, `false`, unknown }

  /// All matches instead of the first.
  let isAll: Bool
  /// nil: the element itself, which then may be a scalar.
  let path: PathStart?
  /// `path`, or the member with the empty name.
  let pathInContainer: PathStart
  let comparison: Comparison
  let value: [UInt8]
  let number: Double
  let truth: Truth?
  /// What is taken of a match; nil: all of it.
  let rest: PathStart?
  /// Taken up by the first match.
  let pipe: PathStart?

  func matches(_ value: JSONValue?) -> Bool {
    if let truth { return matches(truth, value) }
    guard let value else { return false }
    if comparison == .exists { return true }
    switch value.kind {
    case .string: return holds(value.content)
    case .number: return holds(value.double)
    case .bool: return holds(value.isTrue, self.value)
    case .null, .array, .object: return false
    }
  }

  private func matches(_ truth: Truth, _ value: JSONValue?) -> Bool {
    let isSo: Bool
    switch truth {
    case .unknown: return false
    case .exists: isSo = value != nil
    case .null: isSo = value.map { $0.kind == .null } ?? true
    case .true: isSo = value?.bool ?? false
    case .false:
      switch value?.kind {
      case nil, .null: isSo = true
      case .bool: isSo = value?.isTrue == false
      case .number: isSo = value?.double == 0
      case .string: isSo = value?.spelledBool == false
      case .array, .object: isSo = false
      }
    }
    return comparison == .exists || holds(isSo, Array("true".utf8))
  }

  private func holds(_ text: ArraySlice<UInt8>) -> Bool {
    switch comparison {
    case .equal: text.elementsEqual(value)
    case .notEqual: !text.elementsEqual(value)
    case .less: text.lexicographicallyPrecedes(value)
    case .lessOrEqual: !value.lexicographicallyPrecedes(text)
    case .greater: value.lexicographicallyPrecedes(text)
    case .greaterOrEqual: !text.lexicographicallyPrecedes(value)
    case .like: fits(text, value)
    case .unlike: !fits(text, value)
    case .exists, .never: false
    }
  }

  private func holds(_ found: Double) -> Bool {
    switch comparison {
    case .equal: found == number
    case .notEqual: found != number
    case .less: found < number
    case .lessOrEqual: found <= number
    case .greater: found > number
    case .greaterOrEqual: found >= number
    case .like, .unlike, .exists, .never: false
    }
  }

  private func holds(_ found: Bool, _ wanted: [UInt8]) -> Bool {
    let word = Array((found ? "true" : "false").utf8)
    let other = Array((found ? "false" : "true").utf8)
    switch comparison {
    case .equal: return wanted == word
    case .notEqual: return wanted != word
    case .less: return !found && wanted == other
    case .lessOrEqual: return !found
    case .greater: return found && wanted == other
    case .greaterOrEqual: return found
    case .like, .unlike, .exists, .never: return false
    }
  }
}
