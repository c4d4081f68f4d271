import Engine
import Posix

extension Installation {
  /// Begins what its partition asks for besides running sensors.
  func join(_ share: PartitionShare) {
    let work = SharedWork(
      share: share,
      log: log,
      places: parts.places,
      loop: engine.loop,
      instruments: instruments,
      logger: logger
    )
    shared = Task { await work.run() }
    share.figures.put(
      PartitionFigures.Entry(metrics: metrics, log: log, engine: engine, installation: self),
      of: share.partition
    )
  }

  /// Ends it.
  func leave() async {
    guard let share = startup.share else { return }
    share.figures.put(nil, of: share.partition)
    // A reload must not put sources to work in what has stopped.
    await turnstile.enter()
    hasLeft = true
    turnstile.leave()
    shared?.cancel()
    await shared?.value
  }
}
