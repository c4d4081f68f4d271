package import CRdKafka

/// librdkafka's own brokers inside this process: several of them, and they fail when told to.
@safe package final class MockCluster: @unchecked Sendable {
  // SAFETY: librdkafka's functions lock; both handles are freed by `deinit` alone.
  private let client: OpaquePointer
  private let cluster: OpaquePointer
  package let address: String

  package init(brokers: Int) throws {
    let configuration = unsafe rd_kafka_conf_new()
    unsafe rd_kafka_conf_set(configuration, "log_level", "0", nil, 0)
    var words = [CChar](repeating: 0, count: 256)
    guard let client = unsafe rd_kafka_new(RD_KAFKA_PRODUCER, configuration, &words, words.count),
      let cluster = unsafe rd_kafka_mock_cluster_new(client, Int32(brokers))
    else {
      let why = words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      throw Failure(why: String(decoding: why, as: UTF8.self))
    }
    unsafe self.client = unsafe client
    unsafe self.cluster = unsafe cluster
    address = unsafe String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
  }

  package func createTopic(_ name: String, partitions: Int, replicas: Int = 1) {
    unsafe rd_kafka_mock_topic_create(cluster, name, Int32(partitions), Int32(replicas))
  }

  package func setLeader(_ topic: String, _ partition: Int, _ broker: Int) {
    unsafe rd_kafka_mock_partition_set_leader(cluster, topic, Int32(partition), Int32(broker))
  }

  /// -1 means all of them.
  package func setDown(_ broker: Int) {
    unsafe rd_kafka_mock_broker_set_down(cluster, Int32(broker))
  }
  package func setUp(_ broker: Int) { unsafe rd_kafka_mock_broker_set_up(cluster, Int32(broker)) }

  package func setDelay(_ broker: Int, milliseconds: Int) {
    unsafe rd_kafka_mock_broker_set_rtt(cluster, Int32(broker), Int32(milliseconds))
  }

  /// Kinds of requests by their number in the protocol.
  package enum API: Int16 {
    case produce = 0
    case fetch = 1
    case offsetCommit = 8
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case syncGroup = 14
    case initProducerID = 22
    case addPartitionsToTransaction = 24
    case endTransaction = 26
    case commitOffsetsInTransaction = 28
  }

  /// The next `count` requests of one kind to a broker get an error, each after a delay.
  package func fail(
    _ api: API,
    _ code: rd_kafka_resp_err_t,
    count: Int = 1,
    broker: Int = 1,
    delayMilliseconds: Int = 0
  ) {
    unsafe crdkafka_mock_fail(
      cluster,
      Int32(broker),
      api.rawValue,
      code,
      Int32(delayMilliseconds),
      count
    )
  }

  private struct Failure: Error {
    let why: String
  }

  deinit {
    unsafe rd_kafka_mock_cluster_destroy(cluster)
    unsafe rd_kafka_destroy(client)
  }
}
