package import Plugin

/// Every kind of event source that is built, one line each.
package let eventSourceKinds: [EventSourceKind] = [
  EventSourceKind(WebhookSource.self),
  EventSourceKind(KafkaSource.self),
  EventSourceKind(CalendarSource.self),
  EventSourceKind(FileSource.self),
  EventSourceKind(ResourceSource.self),
  EventSourceKind(ArgoSource.self),
  EventSourceKind(ForgeSource<GitHub>.self),
  EventSourceKind(ForgeSource<GitLab>.self),
  EventSourceKind(ForgeSource<Bitbucket>.self),
  EventSourceKind(ForgeSource<BitbucketServer>.self),
  EventSourceKind(ForgeSource<Gerrit>.self),
  EventSourceKind(ForgeSource<Gitea>.self),
  EventSourceKind(ForgeSource<Gogs>.self),
  EventSourceKind(ForgeSource<AzureDevOps>.self),
  EventSourceKind(ForgeSource<StandardWebhooks>.self),
  EventSourceKind(GitSource.self),
]
