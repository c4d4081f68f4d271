import JSON

/// `filters.script` of a dependency (spec section 7.6).
package struct ScriptFilter: DataJudge {
  private let script: Result<LuaScript, LuaError>

  package init(_ script: LuaScript) { self.script = .success(script) }

  /// What does not compile is an error of every event with data, which only mode `argo-1.9` asks
  /// for.
  package init(failing error: LuaError) { script = .failure(error) }

  /// `os.time` is that of the event.
  package func evaluate(_ data: FilterData, at time: FilterTime) -> FilterVerdict {
    switch data {
    case .absent: return .pass
    case .broken(let why): return .error("event data is not valid JSON: \(why)")
    case .document(let document):
      guard let json = document.root.json else { return .error("event data is nested too deep") }
      do throws(LuaError) {
        return try script.get().passes(json, now: time.seconds)
          ? .pass : .refused("the script does not return true")
      } catch { return .error("\(error)") }
    }
  }
}
