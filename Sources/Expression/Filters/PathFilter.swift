import JSON

/// Whether a push changed a path that is wanted: the last pattern that fits a path decides, one
/// that begins with `!` against it. Where all patterns are of that kind, other paths are wanted.
package struct PathFilter: DataJudge {
  package static let patternsMax = 256

  /// Where the shape of a push is.
  private static let push = JSONPath(key: "push")

  private let patterns: [(glob: Glob, isWanted: Bool)]
  private let passesTruncated: Bool

  /// - Parameter passesTruncated: whether a push passes whose paths are not all known.
  /// - Throws: `FilterError` for a pattern that is none.
  package init(_ texts: [String], passesTruncated: Bool) throws(FilterError) {
    guard (1...Self.patternsMax).contains(texts.count) else {
      throw FilterError(
        description: "found \(texts.count) patterns, expected 1 to \(Self.patternsMax)"
      )
    }
    var patterns: [(Glob, Bool)] = []
    for text in texts {
      let isWanted = !text.hasPrefix("!")
      patterns.append((try Glob(isWanted ? text : String(text.dropFirst())), isWanted))
    }
    self.patterns = patterns
    self.passesTruncated = passesTruncated
  }

  package func evaluate(_ data: FilterData, at time: FilterTime) -> FilterVerdict {
    switch data {
    case .absent: return .refused("there is no push")
    case .broken(let why): return .error(why)
    case .document(let document):
      guard let push = document.view.fields["push"]?.fields else {
        return .refused("there is no push")
      }
      let paths = (push["changedPaths"]?.items ?? []).map(\.value.string)
      if paths.contains(where: isWanted) { return .pass }
      if push["truncated"]?.value.isTrue == true {
        return passesTruncated ? .pass : .refused("not all paths of the push are known")
      }
      return .refused("none of \(paths.count) changed paths is wanted")
    }
  }

  /// An event that is no push at all is told by that.
  package var outline: FilterOutline {
    var outline = FilterOutline()
    outline.choices = [FilterChoice(guards: [], atoms: [FilterAtom(Self.push, .exists)])]
    return outline
  }

  private func isWanted(_ path: String) -> Bool {
    let deciding = patterns.last { $0.glob.matches(path) }
    return deciding?.isWanted ?? patterns.allSatisfy { !$0.isWanted }
  }
}
