package import Plugin

/// Every kind of trigger that is built, one line each.
package let triggerKinds: [TriggerKind] = [
  TriggerKind(CommandTrigger.self),
  TriggerKind(HTTPTrigger.self),
  TriggerKind(LogTrigger.self),
]
