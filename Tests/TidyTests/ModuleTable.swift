/// The house: every module with what it may import besides the standard library, lowest first.
/// A module may import only what stands above it here.
let moduleTable: [(module: String, imports: Set<String>)] = [
  ("Posix", ["CLinux", "DequeModule", "HeapModule"]),
  ("TLS", ["COpenSSL"]),
  ("JSON", []),
  ("Event", ["TLS", "JSON"]),
  ("Expression", ["JSON"]),
  ("Manifest", ["JSON", "Yams"]),
  ("Sensor", ["Event", "Expression", "JSON", "Manifest"]),
  ("HTTP", ["Posix", "DequeModule"]),
  ("Bus", ["Event"]),
  ("EventLog", ["CLinux", "Posix", "TLS", "Event", "Bus"]),
  ("Observe", ["Logging"]),
  ("Plugin", ["JSON", "Event", "Manifest", "HTTP", "Observe"]),
  ("EventSources", ["TLS", "JSON", "Event", "Manifest", "HTTP", "Plugin"]),
  (
    "Engine",
    [
      "Posix", "JSON", "Event", "Expression", "Manifest", "Sensor", "Bus", "Observe", "Plugin",
      "Logging", "DequeModule",
    ]
  ),
  (
    "Server",
    [
      "Posix", "TLS", "JSON", "Event", "Manifest", "Sensor", "HTTP", "Bus", "EventLog",
      "Observe", "Plugin", "EventSources", "Engine", "Logging",
    ]
  ),
  (
    "signalbox",
    [
      "Posix", "TLS", "JSON", "Event", "Bus", "EventLog", "Manifest", "Server",
      "ArgumentParser", "Logging",
    ]
  ),
  ("TestKit", ["Posix", "Event", "Bus", "EventLog", "JSON"]),
]

/// What everybody may import. Foundation only where the table's neighbours need it: nowhere yet.
let standardLibrary: Set<String> = ["Glibc", "Synchronization"]
