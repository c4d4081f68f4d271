#pragma once

// librdkafka's variadic functions in the shapes Swift can call.

#include <librdkafka/rdkafka.h>
// Brokers inside a process, for tests.
#include <librdkafka/rdkafka_mock.h>

// rd_kafka_consumer_close_queue lets a consumer be closed without a blocking call.
#if RD_KAFKA_VERSION < 0x010900ff
#error "librdkafka 1.9 or newer is needed"
#endif

/// Copies key and value. Takes `headers` unless it fails; NULL for none. A key or value without an
/// address is null, which is not the same as an empty one.
static inline rd_kafka_resp_err_t crdkafka_produce(rd_kafka_t *rk, const char *topic,
                                                   int32_t partition, const void *key,
                                                   size_t key_length,
                                                   const void *value, size_t value_length,
                                                   rd_kafka_headers_t *headers, void *opaque) {
  return rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                           RD_KAFKA_V_KEY(key, key_length),
                           RD_KAFKA_V_VALUE((void *)value, value_length),
                           RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque),
                           RD_KAFKA_V_END);
}

/// Copies key and value, which are null without an address. A negative partition: by the key.
static inline rd_kafka_resp_err_t crdkafka_write(rd_kafka_t *rk, const char *topic,
                                                 int32_t partition, const void *key,
                                                 size_t key_length, const void *value,
                                                 size_t value_length, void *opaque) {
  return rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                           RD_KAFKA_V_KEY(key, key_length),
                           RD_KAFKA_V_VALUE((void *)value, value_length),
                           RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
}

/// Lets the next `count` requests of one kind be answered with `error` by a broker of a mock
/// cluster, each `delay` milliseconds late.
static inline void crdkafka_mock_fail(rd_kafka_mock_cluster_t *cluster, int32_t broker,
                                      int16_t api, rd_kafka_resp_err_t error, int delay,
                                      size_t count) {
  for (size_t number = 0; number < count; number++)
    rd_kafka_mock_broker_push_request_error_rtts(cluster, broker, api, 1, error, delay);
}
