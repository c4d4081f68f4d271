/// Two webhooks for everybody, `order` and `approval` of the event source `hooks`; an order's identity is
/// its header X-Event-ID.
package func orderManifest(_ port: Int) -> String {
  """
  apiVersion: argoproj.io/v1alpha1
  kind: EventSource
  metadata: {name: hooks}
  spec:
    webhook:
      order:
        endpoint: /order
        port: "\(port)"
        signalbox: {unauthenticated: true, deduplicateBy: {header: X-Event-ID}}
      approval: {endpoint: /approval, port: "\(port)", signalbox: {unauthenticated: true}}

  """
}
