package import JSON

/// `filters.script` of a dependency (spec section 7.6).
package struct ScriptFilter: Sendable {
  private let script: LuaScript

  package init(_ script: LuaScript) { self.script = script }

  /// - Parameter now: seconds since 1970, for `os.time`.
  package func evaluate(_ data: JSON, now: Int) -> FilterVerdict {
    do throws(LuaError) {
      return try script.passes(data, now: now) ? .pass : .refused("the script does not return true")
    } catch { return .error("script: \(error)") }
  }
}
