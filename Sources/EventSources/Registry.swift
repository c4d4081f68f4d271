package import Plugin

/// Every kind of event source that is built, one line each.
package let eventSourceKinds: [EventSourceKind] = [
  EventSourceKind(WebhookSource.self),
  EventSourceKind(GitHubSource.self),
]
