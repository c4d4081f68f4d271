// swift-tools-version: 6.2
import PackageDescription

// Every target is held to the same rules; the order of this file is the order of the layers:
// a module imports only modules that stand above it (TidyTests compares).
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let arguments = Target.Dependency.product(
  name: "ArgumentParser",
  package: "swift-argument-parser"
)

let package = Package(
  name: "signalbox",
  products: [.executable(name: "signalbox", targets: ["signalbox"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // C
    .target(name: "CLinux"),
    .target(name: "CJQ", linkerSettings: [.linkedLibrary("jq")]),
    .target(name: "CLua", linkerSettings: [.linkedLibrary("lua5.1")]),
    .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
      name: "CCurl",
      pkgConfig: "libcurl",
      providers: [.apt(["libcurl4-openssl-dev"])]
    ),
    .systemLibrary(
      name: "CNGHTTP2",
      pkgConfig: "libnghttp2",
      providers: [.apt(["libnghttp2-dev"])]
    ),
    .systemLibrary(
      name: "CRdKafka",
      pkgConfig: "rdkafka",
      providers: [.apt(["librdkafka-dev"])]
    ),
    // Platform
    module("Posix", ["CLinux", deque, heap]),
    module("TLS", ["COpenSSL"]),
    module("KafkaClient", ["CRdKafka", "Posix", deque]),
    module("JSON", []),
    module("HTTPClient", ["CCurl", "Posix"]),
    // Domain
    module("Event", ["TLS", "JSON"]),
    module("Expression", ["CLinux", "CJQ", "CLua", "CRE2", "Posix", "TLS", "JSON"]),
    module("Manifest", ["Posix", "JSON", yams]),
    module("Sensor", ["Event", "Expression", "JSON", "Manifest", heap]),
    // Services
    module("HTTP", ["CNGHTTP2", "Posix", "TLS", deque]),
    module("Bus", ["Event"]),
    module("EventLog", ["CLinux", "Posix", "TLS", "Event", "Bus", "JSON"]),
    module("KafkaBus", ["Posix", "KafkaClient", "Event", "Bus", "EventLog"]),
    module("Observe", [logging]),
    module("Cluster", ["Posix", "JSON", "HTTPClient", "Manifest", deque]),
    // Port
    module(
      "Plugin",
      [
        "Posix", "KafkaClient", "JSON", "HTTPClient", "Event", "Expression", "Manifest", "HTTP",
        "Cluster",
      ]
    ),
    // Plugins
    module("ForgeAPI", ["Posix", "TLS", "JSON", "HTTPClient", "Manifest", "Cluster", "Plugin"]),
    module(
      "EventSources",
      [
        "Posix", "TLS", "KafkaClient", "JSON", "HTTPClient", "Event", "Expression", "Manifest",
        "HTTP", "Cluster", "Plugin", "ForgeAPI",
      ]
    ),
    module(
      "Triggers",
      [
        "Posix", "KafkaClient", "JSON", "HTTPClient", "Event", "Manifest", "Cluster", "Plugin",
        "ForgeAPI",
      ]
    ),
    // Core
    module(
      "Engine",
      [
        "Posix", "JSON", "Event", "Expression", "Manifest", "Sensor", "Bus", "Plugin",
        logging, deque,
      ]
    ),
    // Shell
    module(
      "Server",
      [
        "Posix", "TLS", "KafkaClient", "JSON", "HTTPClient", "Event", "Expression", "Manifest",
        "Sensor", "HTTP",
        "Bus",
        "EventLog", "KafkaBus", "Observe", "Cluster", "Plugin", "EventSources", "Triggers",
        "Engine", logging,
      ]
    ),
    module(
      "Rehearsal",
      ["Posix", "JSON", "Event", "Expression", "Manifest", "Sensor", "Engine", "Server"]
    ),
    .executableTarget(
      name: "signalbox",
      dependencies: [
        "Posix", "TLS", "JSON", "HTTPClient", "Event", "Expression", "Bus", "EventLog", "Manifest",
        "Observe",
        "Plugin", "ForgeAPI", "EventSources", "Triggers",
        "Server", "Rehearsal",
        arguments, logging,
      ],
      swiftSettings: strict
    ),
    module("TestKit", ["CRdKafka", "Posix", "TLS", "Event", "Bus", "EventLog", "JSON", "HTTP"]),
    // Tests
    tests("TidyTests", []),
    tests("PosixTests", ["Posix"]),
    tests("TLSTests", ["TLS", "COpenSSL", "TestKit"]),
    tests("JSONTests", ["JSON", "TestKit"]),
    tests("ExpressionTests", ["Expression", "JSON", "TestKit", "signalbox"]),
    tests(
      "ManifestTests",
      [
        "Manifest", "JSON", "Server", "EventSources", "Triggers", "Plugin", "TestKit", "Rehearsal",
        "Event", "Expression", "Sensor", "Engine", "signalbox",
      ]
    ),
    tests("HTTPClientTests", ["HTTPClient", "HTTP", "Posix", "TLS", "TestKit"]),
    tests("ClusterTests", ["Cluster", "HTTPClient", "HTTP", "JSON", "Posix", "TestKit"]),
    tests(
      "SensorTests",
      ["Sensor", "Expression", "JSON", "Event", "MatchingWorkload", "TestKit"]
    ),
    tests("HTTPTests", ["HTTP", "Posix", "TLS", "TestKit", "CNGHTTP2", "h1-reader"]),
    tests(
      "EventSourcesTests",
      [
        "EventSources", "Plugin", "Expression", "Manifest", "HTTP", "HTTPClient", "Event", "JSON",
        "Cluster", "Posix", "TLS", "ForgeAPI", "KafkaClient", "TestKit",
      ]
    ),
    tests(
      "EngineTests",
      [
        "Engine", "Sensor", "Expression", "Bus", "EventLog", "KafkaBus", "KafkaClient", "Event",
        "Plugin", "Manifest", "JSON", "Posix", "MatchingWorkload", "TestKit",
        .product(name: "Logging", package: "swift-log"),
      ]
    ),
    tests(
      "EndToEndTests",
      [
        "Posix", "JSON", "TLS", "HTTP", "EventLog", "Bus", "Event", "Sensor", "Engine", "Manifest",
        "Server", "TestKit", "signalbox",
      ]
    ),
    tests(
      "TriggersTests",
      [
        "Triggers", "Plugin", "Manifest", "Event", "JSON", "Posix", "HTTP", "HTTPClient",
        "KafkaClient", "Cluster", "TestKit",
        "signalbox",
      ]
    ),
    tests(
      "KafkaTests",
      [
        "KafkaClient", "CRdKafka", "EventSources", "Plugin", "Manifest", "Expression", "HTTPClient",
        "Posix", "TLS", "JSON", "Event", "Bus", "EventLog", "KafkaBus", "TestKit", "signalbox",
      ]
    ),
    tests("ObserveTests", ["Observe", logging]),
    tests("EventTests", ["Event"]),
    tests(
      "EventLogTests",
      ["EventLog", "Bus", "Event", "JSON", "Posix", "CLinux", "TestKit", "eventlog-appender"]
    ),
    // What our languages answer to the vectors of the originals:
    // `swift run conformance ../shared/conformance`
    .target(
      name: "Vectors",
      dependencies: ["Posix", "JSON", "Event", "Expression", "Sensor"],
      path: "Tests/Vectors",
      swiftSettings: strict
    ),
    .executableTarget(
      name: "conformance",
      dependencies: ["Vectors", "Expression"],
      path: "Tests/ConformanceCommand",
      swiftSettings: strict
    ),
    // `swift run -c release benchmark-languages`
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    .executableTarget(
      name: "benchmark-languages",
      dependencies: ["CAllocations", "Expression", "JSON"],
      path: "Tests/BenchmarkLanguages",
      swiftSettings: strict
    ),
    // `swift run -c release benchmark-matching`
    .target(
      name: "MatchingWorkload",
      dependencies: ["Sensor", "Expression", "JSON", "Event", "TestKit"],
      path: "Tests/MatchingWorkload",
      swiftSettings: strict
    ),
    .executableTarget(
      name: "benchmark-matching",
      dependencies: [
        "MatchingWorkload", "Sensor", "Expression", "JSON", "Event", "Posix", "Bus", "EventLog",
        "Engine", "Plugin", "Manifest", logging,
      ],
      path: "Tests/BenchmarkMatching",
      swiftSettings: strict
    ),
    tests("ConformanceTests", ["Vectors", "Expression", "TestKit", "signalbox"]),
    // `swift run -c release log-torture --points 100000 --seed 1`
    .executableTarget(
      name: "log-torture",
      dependencies: ["EventLog", "TestKit"],
      path: "Tests/LogTorture",
      swiftSettings: strict
    ),
    // `swift run test-cluster FILE`: the cluster of the tests for other processes.
    .executableTarget(
      name: "test-cluster",
      dependencies: ["TestKit", "Posix"],
      path: "Tests/TestClusterCommand",
      swiftSettings: strict
    ),
    // What `deploy/bench-http` measures, and what `deploy/h1-compare` holds against another parser.
    .executableTarget(
      name: "http-sink",
      dependencies: ["HTTP", "Posix", "TLS"],
      path: "Tests/HTTPSink",
      swiftSettings: strict
    ),
    .executableTarget(
      name: "h1-reader",
      dependencies: ["HTTP", "JSON", "Posix"],
      path: "Tests/H1Reader",
      swiftSettings: strict
    ),
    // `swift run -c release timing-check`
    .executableTarget(
      name: "timing-check",
      dependencies: ["TLS"],
      path: "Tests/TimingCheck",
      swiftSettings: strict
    ),
    // `swift run -c release log-bench FOLDER`
    .executableTarget(
      name: "log-bench",
      dependencies: ["EventLog", "KafkaBus", "KafkaClient", "Bus", "Event", "Posix", "TestKit"],
      path: "Tests/LogBench",
      swiftSettings: strict
    ),
    // Killed in the middle of its work by EventLogTests.
    .executableTarget(
      name: "eventlog-appender",
      dependencies: ["EventLog", "Bus", "Event"],
      path: "Tests/EventLogAppender",
      swiftSettings: strict
    ),
  ]
)

// Inputs that libFuzzer makes: `deploy/fuzz`. They do not link without its runtime.
if Context.environment["SIGNALBOX_FUZZ"] != nil {
  for name in ["scanner", "gjson", "expr", "templates", "conditions"] {
    package.targets.append(
      .executableTarget(
        name: "fuzz-" + name,
        dependencies: ["JSON", "Expression"],
        path: "Tests/Fuzz/" + name,
        swiftSettings: [
          .swiftLanguageMode(.v6), .unsafeFlags(["-parse-as-library", "-sanitize=fuzzer"]),
        ],
        linkerSettings: [.unsafeFlags(["-sanitize=fuzzer"])]
      )
    )
  }
}
