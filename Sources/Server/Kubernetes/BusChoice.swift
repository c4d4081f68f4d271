import Logging
import Posix

extension KubernetesMode {
  /// What the EventBus objects say about the bus.
  enum BusChoice {
    case embedded
    case kafka(KafkaBusSpec)
    /// Why nothing can run yet. What was taken meanwhile would be on another bus.
    case open(String)
  }

  /// What they say now.
  private func choice(
    _ configuration: Server.Configuration,
    _ logger: Logger
  ) async -> BusChoice {
    guard await isKnown else { return .open(contact.readiness.note) }
    let folder = FolderSecrets(folder: configuration.secrets)
    var parts = Parts.reading(folder, logger, configuration.compat)
    parts.namespaces = rules(folder)
    let load = await load(parts, refusedPorts: [:])
    if let bus = load.plan?.kafkaBus { return .kafka(bus) }
    if await wantsKafka {
      await report(load)
      return .open("the EventBus cannot be used: " + load.messages.joined(separator: " | "))
    }
    if options.needsKafka { return .open("no EventBus with kafka is there") }
    return .embedded
  }

  /// Waits until it is known which bus it is.
  /// - Parameter startup: gets a console where that takes time.
  /// - Returns: false when the program is to stop meanwhile; else the bus on Kafka, if it is one.
  func chooseBus(
    _ service: Service,
    _ startup: inout Startup
  ) async -> (isDecided: Bool, kafka: KafkaBusSpec?) {
    var last = ""
    while true {
      switch await choice(service.configuration, service.logger) {
      case .embedded:
        run(on: nil)
        return (true, nil)
      case .kafka(let bus):
        run(on: bus)
        return (true, bus)
      case .open(let why):
        if startup.standby == nil {
          startup.standby = await Standby(service, startup) { [contact] in
            let note = contact.readiness.note
            return "not ready: " + (note.isEmpty ? "no EventBus can be used; see the log" : note)
          }
        }
        if why != last { service.report("waiting: \(why)") }
        last = why
        let found = await startup.loop.readable(
          of: [service.stopping, service.reloading, startup.changed.raw]
        )
        if found == service.stopping {
          await startup.standby?.end()
          return (false, nil)
        }
      }
    }
  }
}
