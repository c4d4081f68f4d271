package import Manifest

/// A kind of event source without its type: what the registry lists.
package struct EventSourceKind: Sendable {
  package let kind: String
  /// Whether `filter` is no expression.
  package let hasOwnFilter: Bool
  package let reachesMachine: Bool
  /// Makes the source of one manifest entry; nil when it added errors to the diagnostics.
  package let make:
    @Sendable (Node, _ path: String, EventSourceName, any SourceHost, Diagnostics) ->
      (any EventSource)?

  package init<S: EventSource>(_ type: S.Type) {
    kind = S.kind
    hasOwnFilter = S.hasOwnFilter
    reachesMachine = S.reachesMachine
    make = { node, path, name, host, diagnostics in
      let own = Diagnostics()
      let block = Block(node, path: path, own)
      let filtered = S.hasOwnFilter ? host : block.filtered(host)
      let source = S(S.Spec(from: block), name: name, host: filtered, block)
      for diagnostic in own.all { diagnostics.add(diagnostic) }
      return own.hasErrors ? nil : source
    }
  }
}

/// A kind of trigger without its type: what the registry lists.
package struct TriggerKind: Sendable {
  package let kind: String
  package let concurrency: Int
  package let runsPrograms: Bool
  package let parametersChangeObject: Bool
  package let isFollowed: Bool
  package let refusal: @Sendable (_ parameter: String) -> String?
  /// Makes a trigger from its fields; nil when it added errors to the diagnostics.
  package let make:
    @Sendable (Node, _ path: String, _ original: Node?, any TriggerHost, Diagnostics) ->
      (any Trigger)?

  package init<T: Trigger>(_ type: T.Type) {
    kind = T.kind
    concurrency = T.concurrency
    runsPrograms = T.runsPrograms
    parametersChangeObject = T.parametersChangeObject
    isFollowed = T.isFollowed
    refusal = { T.refusal(ofParameter: $0) }
    make = { node, path, original, host, diagnostics in
      let own = Diagnostics()
      let block = Block(node, path: path, own)
      let spec = T.Spec(from: block)
      let before = original.map { T.Spec(from: Block($0, path: path, Diagnostics())) }
      let trigger = T(spec, original: before, host: host, block)
      for diagnostic in own.all { diagnostics.add(diagnostic) }
      return own.hasErrors ? nil : trigger
    }
  }
}
