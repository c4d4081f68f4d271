import Engine
import Glibc
import Observe
import Posix
import Sensor

extension EngineObserver {
  /// Counts by the names of manifests, never by what events hold.
  init(counting instruments: Instruments) {
    let held = instruments.held
    let letGo = instruments.letGo
    self.init(
      judged: { sensor, dependency, verdict in
        if verdict == .passed { instruments.matched.increment(["\(sensor)", dependency]) }
        if verdict == .error { instruments.filterErrors.increment(["\(sensor)", dependency]) }
      },
      fired: { instruments.firings.increment(["\($0.sensor)", $0.name]) },
      settled: { instruments.outcomes.increment(["\($0.sensor)", $0.name, $1.rawValue]) },
      stopped: { instruments.loopsStopped.increment(["\($0.sensor)", $0.name]) },
      died: { instruments.deadLetters.increment(["\($0)", $1, $2.rawValue]) }
    )
    self.held = { held.set(Double($2), ["\($0.sensor)", $0.name, $1.rawValue]) }
    self.letGo = { letGo.increment(["\($0.sensor)", $0.name, $1], by: $2) }
  }
}

/// What Prometheus' clients report of every process, by the same names.
enum ProcessNumbers {
  static func register(in metrics: Metrics) {
    metrics.gauge("process_resident_memory_bytes", help: "Memory in use.") {
      // The second number counts pages (proc(5), statm).
      guard let bytes = try? Files.read("/proc/self/statm", limit: 4096) else { return nil }
      let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
      guard fields.count > 1, let pages = Double(fields[1]) else { return nil }
      return pages * Double(sysconf(Int32(_SC_PAGESIZE)))
    }
    metrics.gauge("process_open_fds", help: "Open file descriptors.") {
      (try? Files.list("/proc/self/fd")).map { Double($0.count) }
    }
    let started = Double(wallClockNanoseconds()) / 1e9
    metrics.gauge("process_start_time_seconds", help: "Seconds since 1970 at the start.") {
      started
    }
  }
}
