import CRdKafka
import KafkaClient
import Posix
import TestKit
import Testing

private func settings(_ address: String, _ name: String) -> KafkaSettings {
  KafkaSettings([
    "bootstrap.servers": address, "transactional.id": name, "retry.backoff.ms": "10",
    "reconnect.backoff.ms": "10", "allow.auto.create.topics": "true",
  ])
}

private func entry(_ topic: String, _ text: String, partition: Int32? = nil) -> KafkaEntry {
  KafkaEntry(topic: topic, partition: partition, key: nil, value: Array(text.utf8))
}

private func texts(_ messages: [KafkaMessage]) -> [String] {
  messages.map { String(decoding: $0.value ?? [], as: UTF8.self) }
}

/// Runs `body` with a transactor that is open, and closes it whatever happens.
private func withTransactor<Result>(
  _ address: String,
  _ name: String,
  _ loop: EventLoop,
  _ notes: Notebook,
  _ body: (KafkaTransactor) async throws -> Result
) async throws -> Result {
  let transactor = try KafkaTransactor(
    settings(address, name),
    loop: loop,
    observer: notes.observer,
    limit: .seconds(20)
  )
  do {
    try await transactor.open()
    let result = try await body(transactor)
    #expect(await transactor.close())
    return result
  } catch {
    await transactor.close()
    throw error
  }
}

@Suite(.serialized, .enabled(if: Tools.areThere)) struct TransactionTests {
  @Test("messages and offsets come to be together; a name that is opened again is lost")
  func together() async throws {
    try await withTemporaryFolder { folder in
      let broker = try TestBroker(folder)
      try Tools.foreign("create", broker.address, "in", "1")
      try Tools.foreign("create", broker.address, "out", "3")
      try Tools.foreign("produce", broker.address, "in", "0", "10")
      try await withLoop { loop, notes in
        let group = groupSettings(broker.address, "g", ["isolation.level": "read_committed"])
        try await withConsumer(group, loop, notes) { reader in
          try await reader.subscribe(to: ["in"])
          let read = try await reader.read(seconds: 30) { $0.count == 10 }
          #expect(read.count == 10)
          let member = try #require(await reader.member)
          let place = KafkaPartition(topic: "in", partition: 0)
          try await withTransactor(broker.address, "one", loop, notes) { first in
            let receipts = try await first.commit(
              [entry("out", "a", partition: 2), entry("out", "b", partition: 2)],
              KafkaProgress([KafkaOffset(place, 7)], of: member)
            )
            #expect(receipts.map(\.partition) == [2, 2])
            #expect(receipts.map(\.offset) == [0, 1])
            #expect(try Tools.foreign("committed", broker.address, "g", "in") == "{\"0\": 7}\n")
            // The name is taken by a second one: the first can do nothing any more.
            try await withTransactor(broker.address, "one", loop, notes) { second in
              let late = await #expect(throws: KafkaTransactionError.self) {
                _ = try await first.commit(
                  [entry("out", "late", partition: 2)],
                  KafkaProgress([KafkaOffset(place, 9)], of: member)
                )
              }
              guard case .fenced? = late else {
                Issue.record("\(String(describing: late))")
                return
              }
              let isUsable = await first.isUsable
              #expect(!isUsable)
              _ = try await second.commit([entry("out", "c", partition: 2)])
            }
          }
          #expect(try Tools.foreign("committed", broker.address, "g", "in") == "{\"0\": 7}\n")
        }
        let all = groupSettings(broker.address, "r", ["isolation.level": "read_committed"])
        try await withConsumer(all, loop, notes) { reader in
          try await reader.begin()
          try await reader.assign([KafkaOffset(KafkaPartition(topic: "out", partition: 2), 0)])
          let found = try await reader.read(seconds: 30) { texts($0).contains("c") }
          #expect(texts(found) == ["a", "b", "c"])
        }
      }
    }
  }
}

/// librdkafka's own brokers, which fail when told to.
@Suite(.serialized) struct TransactionFaultTests {
  private func cluster() throws -> MockCluster {
    let cluster = try MockCluster(brokers: 1)
    cluster.createTopic("out", partitions: 1)
    return cluster
  }

  @Test(
    "what passes by itself is waited for",
    arguments: [MockCluster.API.addPartitionsToTransaction, .endTransaction, .produce]
  )
  func retriable(_ api: MockCluster.API) async throws {
    let cluster = try cluster()
    try await withLoop { loop, notes in
      try await withTransactor(cluster.address, "one", loop, notes) { transactor in
        let code =
          api == .produce
          ? RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
          : RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
        cluster.fail(api, code, count: 2)
        let receipts = try await transactor.commit([entry("out", "a"), entry("out", "b")])
        #expect(receipts.count == 2)
        #expect(receipts.allSatisfy { $0.partition == 0 && $0.offset != nil })
      }
    }
  }

  @Test("what has to be aborted is aborted, and the next transaction comes about")
  func abortable() async throws {
    let cluster = try cluster()
    try await withLoop { loop, notes in
      try await withTransactor(cluster.address, "one", loop, notes) { transactor in
        cluster.fail(.addPartitionsToTransaction, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        let error = await #expect(throws: KafkaTransactionError.self) {
          _ = try await transactor.commit([entry("out", "a")])
        }
        guard case .aborted? = error else {
          Issue.record("\(String(describing: error))")
          return
        }
        _ = try await transactor.commit([entry("out", "b")])
      }
    }
  }

  @Test(
    "a fenced client says so, and says it again",
    arguments: [RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH]
  )
  func fenced(_ code: rd_kafka_resp_err_t) async throws {
    let cluster = try cluster()
    try await withLoop { loop, notes in
      try await withTransactor(cluster.address, "one", loop, notes) { transactor in
        cluster.fail(.endTransaction, code)
        for text in ["a", "b"] {
          let error = await #expect(throws: KafkaTransactionError.self) {
            _ = try await transactor.commit([entry("out", text)])
          }
          guard case .fenced? = error else {
            Issue.record("\(String(describing: error))")
            return
          }
        }
      }
    }
  }

  @Test("callers take turns; each transaction is whole")
  func turns() async throws {
    let cluster = try cluster()
    try await withLoop { loop, notes in
      try await withTransactor(cluster.address, "one", loop, notes) { transactor in
        let offsets = try await withThrowingTaskGroup { group in
          for number in 0..<20 {
            group.addTask {
              try await transactor.commit((0..<5).map { entry("out", "\(number).\($0)") })
                .compactMap(\.offset)
            }
          }
          return try await group.reduce(into: [[Int64]]()) { $0.append($1) }
        }
        #expect(offsets.allSatisfy { $0.count == 5 && $0[4] - $0[0] == 4 })
        #expect(Set(offsets.joined()).count == 100)
      }
    }
  }
}
