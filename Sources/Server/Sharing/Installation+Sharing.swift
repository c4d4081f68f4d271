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
    share.figures.put(
      PartitionFigures.Entry(metrics: metrics, log: log, engine: engine, installation: self),
      of: share.partition
    )
    shared = Task {
      await catchUp()
      await work.run()
    }
  }

  /// Manifests may have been read anew for all others before the process knew of this partition: its
  /// sensors are there before their events.
  private func catchUp() async {
    while !Task.isCancelled {
      if await reloadIfChanged().isDone { return }
      await engine.loop.sleep(for: .seconds(1))
    }
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
