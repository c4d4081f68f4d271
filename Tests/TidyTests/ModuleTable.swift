/// The house: every module with what it may import besides the standard library, lowest first.
/// A module may import only what stands above it here.
let moduleTable: [(module: String, imports: Set<String>)] = [
  ("Posix", ["CLinux", "DequeModule", "HeapModule"]),
  ("TLS", ["COpenSSL"]),
  ("KafkaClient", ["CRdKafka", "Posix", "DequeModule"]),
  ("JSON", []),
  ("HTTPClient", ["CCurl", "Posix"]),
  ("Event", ["TLS", "JSON"]),
  ("Expression", ["CLinux", "CJQ", "CLua", "CRE2", "Posix", "TLS", "JSON"]),
  ("Manifest", ["Posix", "JSON", "Yams"]),
  ("Sensor", ["Event", "Expression", "JSON", "Manifest", "HeapModule"]),
  ("HTTP", ["CNGHTTP2", "Posix", "TLS", "DequeModule"]),
  ("Bus", ["Event"]),
  ("EventLog", ["CLinux", "Posix", "TLS", "Event", "Bus", "JSON"]),
  ("KafkaBus", ["Posix", "KafkaClient", "Event", "Bus", "EventLog"]),
  ("Observe", ["Logging"]),
  ("Cluster", ["Posix", "JSON", "HTTPClient", "Manifest", "DequeModule"]),
  (
    "Plugin",
    [
      "KafkaClient", "Posix", "JSON", "HTTPClient", "Event", "Expression", "Manifest", "HTTP",
      "Cluster",
    ]
  ),
  ("ForgeAPI", ["Posix", "TLS", "JSON", "HTTPClient", "Manifest", "Cluster", "Plugin"]),
  (
    "EventSources",
    [
      "KafkaClient", "Posix", "TLS", "JSON", "HTTPClient", "Event", "Expression", "Manifest",
      "HTTP", "Cluster", "Plugin", "ForgeAPI",
    ]
  ),
  (
    "Triggers",
    [
      "KafkaClient", "Posix", "JSON", "HTTPClient", "Event", "Manifest", "Cluster", "Plugin",
      "ForgeAPI",
    ]
  ),
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
      "KafkaClient", "Posix", "TLS", "JSON", "HTTPClient", "Event", "Expression", "Manifest",
      "Sensor", "HTTP",
      "Bus",
      "EventLog", "KafkaBus", "Observe", "Cluster", "Plugin", "EventSources", "Triggers", "Engine",
      "Logging",
    ]
  ),
  (
    "Rehearsal",
    ["Posix", "JSON", "Event", "Expression", "Manifest", "Sensor", "Engine", "Server"]
  ),
  (
    "signalbox",
    [
      "Posix", "TLS", "JSON", "HTTPClient", "Event", "Expression", "Bus", "EventLog", "Manifest",
      "Observe",
      "Plugin", "ForgeAPI", "EventSources", "Triggers",
      "Server", "Rehearsal",
      "ArgumentParser", "Logging", "Dispatch",
    ]
  ),
  (
    "TestKit",
    ["CRdKafka", "Posix", "TLS", "Event", "Bus", "EventLog", "JSON", "HTTP", "Foundation"]
  ),
]

/// What everybody may import. Foundation is not among it: only what runs in tests alone has it.
let standardLibrary: Set<String> = ["Glibc", "Synchronization"]
