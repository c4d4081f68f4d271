/// The house: every module with what it may import besides the standard library, lowest first.
/// A module may import only what stands above it here.
let moduleTable: [(module: String, imports: Set<String>)] = [
  ("Posix", ["CLinux", "DequeModule", "HeapModule"]),
  ("TLS", ["COpenSSL"]),
  ("JSON", []),
  ("Event", ["TLS", "JSON"]),
  ("Expression", ["CRE2", "JSON"]),
  ("Manifest", ["Posix", "JSON", "Yams"]),
  ("Sensor", ["Event", "Expression", "JSON", "Manifest"]),
  ("HTTP", ["Posix", "DequeModule"]),
  ("Bus", ["Event"]),
  ("EventLog", ["CLinux", "Posix", "TLS", "Event", "Bus"]),
  ("Plugin", ["Posix", "JSON", "Event", "Manifest", "HTTP"]),
  ("EventSources", ["TLS", "JSON", "Event", "Manifest", "HTTP", "Plugin"]),
  ("Triggers", ["Posix", "JSON", "Event", "Manifest", "Plugin"]),
  (
    "Engine",
    [
      "Posix", "JSON", "Event", "Expression", "Manifest", "Sensor", "Bus", "Plugin",
      "Logging", "DequeModule",
    ]
  ),
  (
    "Server",
    [
      "Posix", "TLS", "JSON", "Event", "Expression", "Manifest", "Sensor", "HTTP", "Bus",
      "EventLog", "Plugin", "EventSources", "Triggers", "Engine", "Logging",
    ]
  ),
  (
    "signalbox",
    [
      "Posix", "TLS", "JSON", "Event", "Bus", "EventLog", "Manifest", "Triggers", "Server",
      "ArgumentParser", "Logging",
    ]
  ),
  ("TestKit", ["Posix", "Event", "Bus", "EventLog", "JSON"]),
]

/// What everybody may import. Foundation only where the table's neighbours need it: nowhere yet.
let standardLibrary: Set<String> = ["Glibc", "Synchronization"]
