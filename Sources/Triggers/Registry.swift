package import Plugin

/// Every kind of trigger that is built, one line each.
package let triggerKinds: [TriggerKind] = [
  TriggerKind(ApplicationTrigger.self),
  TriggerKind(CommandTrigger.self),
  TriggerKind(CommitStatusTrigger.self),
  TriggerKind(EmailTrigger.self),
  TriggerKind(HTTPTrigger.self),
  TriggerKind(KafkaTrigger.self),
  TriggerKind(KubernetesTrigger.self),
  TriggerKind(LogTrigger.self),
  TriggerKind(SlackTrigger.self),
  TriggerKind(RolloutTrigger.self),
  TriggerKind(WorkflowTrigger.self),
]
