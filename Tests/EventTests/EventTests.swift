import Event
import Testing

@Suite struct EventTests {
  private let firing = FiringID(
    namespace: "default",
    sensor: "s",
    trigger: "t",
    replay: 0,
    dependencies: [("b", "src", "2"), ("a", "src", "1")]
  )

  private var full: Event {
    Event(
      id: "x",
      namespace: "team",
      bus: "main",
      source: "github",
      type: "github",
      subject: "push",
      time: Timestamp(nanoseconds: 1_714_979_289_123_000_000),
      data: Array("{\"ä\":1}".utf8),
      cause: Cause(firing: firing, events: ["1", "2"], hops: 3, path: ["a/b/c", "d/e/f"])
    )
  }

  @Test("an event survives its stored form")
  func roundTrip() throws {
    #expect(try Event(encoded: full.encoded()[...]) == full)
    var plain = full
    plain.cause = nil
    plain.data = []
    #expect(try Event(encoded: plain.encoded()[...]) == plain)
  }

  @Test("cut or unknown stored forms are refused, never trap")
  func refused() {
    let bytes = full.encoded()
    for length in 0..<bytes.count {
      #expect(throws: Event.EncodingError.self) { try Event(encoded: bytes[..<length]) }
    }
    #expect(throws: Event.EncodingError.newerVersion(2)) {
      try Event(encoded: ([2] + bytes.dropFirst())[...])
    }
    #expect(throws: Event.EncodingError.unknownAttribute(200)) {
      try Event(encoded: (bytes + [200, 0, 0, 0, 0])[...])
    }
  }

  @Test("a firing id does not depend on the order of dependencies, and on everything else")
  func firingID() {
    let same = FiringID(
      namespace: "default",
      sensor: "s",
      trigger: "t",
      replay: 0,
      dependencies: [("a", "src", "1"), ("b", "src", "2")]
    )
    #expect(same == firing)
    #expect(firing.text.count == 32)
    #expect(FiringID(firing.text) == firing)
    #expect(FiringID("A" + firing.text.dropFirst()) == nil)
    let others = [
      FiringID(namespace: "x", sensor: "s", trigger: "t", replay: 0, dependencies: []),
      FiringID(namespace: "default", sensor: "st", trigger: "", replay: 0, dependencies: []),
      FiringID(namespace: "default", sensor: "s", trigger: "t", replay: 1, dependencies: []),
      FiringID(namespace: "default", sensor: "s", trigger: "t", replay: 0, dependencies: []),
    ]
    #expect(Set(others + [firing]).count == 5)
  }

  @Test(
    "times are written as RFC 3339",
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (1_709_164_800_000_000_000, "2024-02-29T00:00:00Z"),
      (951_782_400_500_000_000, "2000-02-29T00:00:00.5Z"), (-1, "1969-12-31T23:59:59.999999999Z"),
      (4_102_444_799_000_001_000, "2099-12-31T23:59:59.000001Z"),
    ] as [(Int64, String)]
  )
  func timestamps(nanoseconds: Int64, text: String) {
    #expect(Timestamp(nanoseconds: nanoseconds).description == text)
  }
}
