import Engine
import JSON
import Sensor
import Testing

@testable import Server

/// What a process of a bus with partitions says of those that it owns, and of others.
@Suite struct PartitionAnswerTests {
  private func sensor(in partition: Int) throws -> SensorID {
    let names = (0..<100).lazy.map { SensorID(namespace: "default", name: "s\($0)") }
    return try #require(names.first { EventRouting.partition(of: $0, among: 3) == partition })
  }

  @Test("a replay that one partition refused is not done, whatever the others did")
  func replay() {
    let fired = ReplayAnswer(isDone: true, isRefused: false, messages: ["default/a/t fires"])
    let idle = ReplayAnswer(isRefused: false, messages: ["no sensor depends on it"])
    let refused = ReplayAnswer(isRefused: true, messages: ["not replayed: no room"])
    #expect(ReplayAnswer([(0, fired), (2, idle)], []).isDone)
    #expect(!ReplayAnswer([(0, idle), (2, idle)], []).isDone)
    let half = ReplayAnswer([(0, fired), (2, refused)], ["sensor default/x is elsewhere"])
    #expect(!half.isDone)
    #expect(
      half.messages == [
        "partition 0: default/a/t fires", "partition 2: not replayed: no room",
        "sensor default/x is elsewhere",
      ]
    )
  }

  @Test("a sensor that an event does not reach is told of, and why")
  func absence() throws {
    let map = PartitionMap(owned: [0, 1], of: 3)
    #expect(map.absence(of: try sensor(in: 0), from: [0]) == nil)
    #expect(
      map.absence(of: try sensor(in: 1), from: [0])
        == "runs in partition 1, where the event is not"
    )
    #expect(
      map.absence(of: try sensor(in: 2), from: [0])
        == "runs in partition 2, which this process does not own"
    )
  }

  @Test("dead letters of a sensor that is in no manifest are not said to be of one that runs")
  func typo() throws {
    let map = PartitionMap(owned: [0, 1], of: 3)
    let plan = EnginePlan(sensors: [], triggers: [])
    func refusal(_ partition: Int) throws -> String? {
      let choice = LetterChoice(["sensor": .string("\(try sensor(in: partition))")])
      return choice?.refusal(map, plan)?.1["error"]?.asString
    }
    #expect(try refusal(0) == nil)
    #expect(
      try refusal(2) == "there is no sensor \(try sensor(in: 2)); dead letters of one that left "
        + "would be in partition 2, which this process does not own"
    )
  }

  @Test("what is done to all letters names the partitions that were not asked")
  func elsewhere() async throws {
    let letters = SharedLetters(map: PartitionMap(owned: [1], of: 3)) { _, _, _ in
      (true, ["letters": [["id": "a", "done": true, "message": "dropped"]]])
    }
    let (isDone, all) = await letters.answer("drop", [:])
    #expect(isDone && all["elsewhere"] == [JSON(0), JSON(2)])
    #expect(all["letters"]?.items.count == 1)
    let (_, one) = await letters.answer("drop", ["letters": ["a"]])
    #expect(one["elsewhere"] == nil)
  }
}
