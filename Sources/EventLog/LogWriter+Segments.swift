import Bus
import Posix
import Synchronization

/// Segments begin, end and are given up.
extension LogWriter {
  /// Gives up a segment whose end is in doubt and begins a new one at once. Until that succeeds
  /// nothing is stored.
  mutating func abandon(_ file: any LogFile, at start: Int, _ why: String) {
    length = nil
    ahead = 0
    log.shared.withLock { $0.failure = why }
    log.configuration.hooks.troubled("a segment is given up: \(why)")
    // If it cannot be cut either, its end does not count: the next segment begins before it.
    do throws(SystemError) { try file.truncate(to: start, .batchCut) } catch {
      log.configuration.hooks.troubled("\(error)")
    }
    heal()
  }

  /// Tries to begin a new segment where one is needed.
  mutating func heal() {
    guard length == nil else { return }
    do throws(SystemError) { try roll() } catch {
      log.configuration.hooks.troubled("no new segment: \(error)")
    }
  }

  /// Begins a new segment and seals the one before.
  /// - Parameter isKept: whether positions may be missing in it.
  mutating func roll(isKept: Bool = false) throws(SystemError) {
    do throws(SystemError) { try begin(isKept) } catch {
      length = nil
      log.shared.withLock { $0.failure = "\(error)" }
      throw error
    }
  }

  private mutating func begin(_ isKept: Bool) throws(SystemError) {
    let header = Format.Header(firstOffset: nextOffset, seed: seed, isKept: isKept)
    let name = Format.name(firstOffset: nextOffset)
    // Without a durable record the last one has this name; a failed try may have left a file too.
    log.shared.withLock { shared in
      if shared.segments.last?.name == name { shared.segments.removeLast() }
    }
    try log.disk.remove(name, .rollRemove)
    let file = try log.disk.open(name, create: true, .rollCreate)
    try file.write(Format.encode(header), at: 0, .rollHeader)
    try file.sync(.rollSync)
    try log.disk.syncFolder(.rollFolder)
    let before = log.shared.withLock { shared in
      let before = shared.segments.last
      shared.segments.append(Segment(name: name, header: header, file: file))
      shared.failure = nil
      return before
    }
    length = Format.headerBytes
    cutAhead(before)
    ahead = 0
    guard let before else { return }
    sealedBytes = log.shared.withLock { $0.segments.dropLast().reduce(0) { $0 + $1.length } }
    seal(before)
  }

  /// Takes back the zeros that were written ahead. Where that fails they are no harm.
  func cutAhead(_ segment: Segment?) {
    guard let segment, ahead > segment.length else { return }
    do throws(SystemError) { try segment.file.truncate(to: segment.length, .sealCut) } catch {
      log.configuration.hooks.troubled("\(segment.name): \(error)")
    }
  }

  private mutating func seal(_ segment: Segment) {
    guard segment.summary.lastOffset != nil, segment.firstOffset > sealed else { return }
    sealed = segment.firstOffset
    if let sealer { sealer.take(segment) } else { log.seal(segment) }
  }

  /// What is due when nothing else is to do.
  mutating func keepUp() {
    heal()
    let now = time.peek()
    let active = log.shared.withLock { $0.segments.last }
    if let first = active?.summary.firstTime,
      now - first >= log.configuration.segmentAge.wholeNanoseconds
    {
      do throws(SystemError) { try roll() } catch {
        log.configuration.hooks.troubled("no new segment: \(error)")
      }
    }
    release(at: now)
    let isPressed = sealedBytes + (length ?? 0) >= log.maxBytes / 2
    if isPressed && !self.isPressed { log.configuration.hooks.pressed(log.figures) }
    self.isPressed = isPressed
  }
}
