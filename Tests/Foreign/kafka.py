"""Kafka by clients nobody here wrote: confluent-kafka and aiokafka.

    kafka.py create  BROKER TOPIC PARTITIONS
    kafka.py delete  BROKER TOPIC
    kafka.py produce BROKER TOPIC FIRST COUNT     keys k-N, values {"n":N}, by N modulo partitions
    kafka.py odd     BROKER TOPIC                 messages that programs stumble over
    kafka.py dump    BROKER TOPIC                 a JSON object a line: everything there is
    kafka.py dump-aio BROKER TOPIC                the same, read by aiokafka
    kafka.py committed BROKER GROUP TOPIC         {"partition": offset}
    kafka.py commit  BROKER GROUP TOPIC PARTITION OFFSET
    kafka.py expel   BROKER GROUP NAME            takes the member of that group.instance.id out
    kafka.py abort   BROKER TOPIC NAME            a transaction that is aborted
    kafka.py unreadable BROKER TOPIC              two messages of a compression that does not exist
    kafka.py mock                                 prints `port N`; a mock broker until its input ends
"""
import asyncio
import base64
import json
import os
import socket
import struct
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def text(value):
    return None if value is None else base64.b64encode(value).decode()


def create(broker, topic, partitions):
    admin = AdminClient({"bootstrap.servers": broker})
    future = admin.create_topics([NewTopic(topic, int(partitions), 1)], operation_timeout=10)
    future[topic].result(20)


def delete(broker, topic):
    admin = AdminClient({"bootstrap.servers": broker})
    admin.delete_topics([topic], operation_timeout=10)[topic].result(20)


def expel(broker, group, name):
    """Does in a member's name what brokers do when its session is over: LeaveGroup (version 1)."""
    admin = AdminClient({"bootstrap.servers": broker})
    members = admin.describe_consumer_groups([group])[group].result(20).members
    for member in [m.member_id for m in members if m.group_instance_id == name]:
        texts = b"".join(struct.pack(">h", len(t)) + t for t in [group.encode(), member.encode()])
        answer = ask(broker, struct.pack(">hhih", 13, 1, 1, -1) + texts, 4 + 4 + 4 + 2)
        if answer[-2:] != b"\0\0":
            raise SystemExit(f"refused: {answer!r}")


def abort(broker, topic, name):
    """A transaction that is aborted, by who has the transactional id `name` from here on."""
    client = Producer({"bootstrap.servers": broker, "transactional.id": name})
    client.init_transactions(20)
    client.begin_transaction()
    client.produce(topic, b"nobody reads it", partition=0)
    client.flush(20)
    client.abort_transaction(20)


def ask(broker, request, count):
    """The first bytes of the answer to a request, as they come."""
    host, port = broker.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        return connection.makefile("rb").read(count)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unreadable(broker, topic):
    """Sends partition 0 a record batch (format 2) with compression 7, as no client would."""
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", 7, 1, now, now, -1, -1, -1, 2) + b"not to be had"
    body = struct.pack(">I", crc32c(body)) + body
    batch = struct.pack(">qiib", 0, len(body) + 5, -1, 2) + body
    name = struct.pack(">h", len(topic)) + topic.encode()
    request = (struct.pack(">hhih", 0, 3, 1, -1) + struct.pack(">hhii", -1, -1, 10000, 1) + name
               + struct.pack(">iii", 1, 0, len(batch)) + batch)
    answer = ask(broker, request, 4 + 4 + 4 + len(name) + 4 + 4 + 2)
    if answer[-2:] != b"\0\0":
        raise SystemExit(f"refused: {answer!r}")


def mock():
    """A broker of librdkafka's mock cluster until standard input ends; topics are made on demand."""
    settings = {"log_level": 0}
    if "SIGNALBOX_KAFKA_KEEP" in os.environ:
        settings = {"debug": "mock"}
    owner = Producer({"test.mock.num.brokers": 1, **settings})
    print("port", [b.port for b in owner.list_topics(timeout=10).brokers.values()][0], flush=True)
    sys.stdin.read()


def partitions_of(client, topic):
    for _ in range(100):
        found = client.list_topics(topic, timeout=10).topics[topic]
        if found.error is None and found.partitions:
            return sorted(found.partitions)
        time.sleep(0.1)
    raise SystemExit(f"no topic {topic}")


def produce(broker, topic, first, count):
    failures = []

    def report(error, _):
        if error is not None:
            failures.append(str(error))

    producer = Producer({"bootstrap.servers": broker, "enable.idempotence": True,
                         "message.timeout.ms": 120000})
    number_of_partitions = len(partitions_of(producer, topic))
    for number in range(int(first), int(first) + int(count)):
        while True:
            try:
                producer.produce(topic, key=f"k-{number}", value=json.dumps({"n": number}),
                                 partition=number % number_of_partitions, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(120) or failures:
        raise SystemExit(f"not delivered: {failures[:3]}")


def odd(broker, topic):
    producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 2000000})
    big = json.dumps({"big": "x" * 900000})
    for key, value, headers in [
        (None, b'{"n":1}', None),
        (b"tombstone", None, None),
        (b"\x00\xff\xfe", b'{"n":2}', [("binary", b"\xff\x00"), ("null", None), ("same", b"a"), ("same", b"b")]),
        (b"", b"", [("", b"empty name")]),
        (b"text", b"not JSON", None),
        (b"cut", b'{"n":', None),
        (b"big", big.encode(), None),
        (b"number", b"7", None),
        (b"utf", '{"n":"\u20ac"}'.encode(), [("grüße", "schön".encode())]),
    ]:
        producer.produce(topic, key=key, value=value, headers=headers, partition=0)
    if producer.flush(30):
        raise SystemExit("not delivered")


def dump(broker, topic):
    # What a partition ends with may be a mark of a transaction, which nobody gets to see.
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "dump", "enable.auto.commit": False,
                         "enable.partition.eof": True})
    partitions = partitions_of(consumer, topic)
    ends = {}
    for partition in partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        if high > low:
            ends[partition] = high
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in ends])
    while ends:
        message = consumer.poll(10)
        if message is None:
            raise SystemExit("the broker stopped sending")
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                ends.pop(message.partition(), None)
            continue
        print(json.dumps({
            "partition": message.partition(), "offset": message.offset(),
            "key": text(message.key()), "value": text(message.value()),
            "headers": [[name, text(value)] for name, value in message.headers() or []],
        }))
        if message.offset() + 1 >= ends.get(message.partition(), 0):
            ends.pop(message.partition(), None)
    consumer.close()


async def dump_aio(broker, topic):
    from aiokafka import AIOKafkaConsumer
    from aiokafka import TopicPartition as Place
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [Place(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or
                                                  await partitions_aio(consumer, topic))]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        left = {place for place in places if ends[place] > 0}
        await consumer.seek_to_beginning(*places)
        while left:
            for place, messages in (await consumer.getmany(timeout_ms=10000)).items():
                for message in messages:
                    print(json.dumps({
                        "partition": place.partition, "offset": message.offset,
                        "key": text(message.key), "value": text(message.value),
                        "headers": [[name, text(value)] for name, value in message.headers],
                    }))
                    if message.offset + 1 >= ends[place]:
                        left.discard(place)
    finally:
        await consumer.stop()


async def partitions_aio(consumer, topic):
    await consumer._client.force_metadata_update()
    return consumer.partitions_for_topic(topic) or {0}


def committed(broker, group, topic):
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group})
    places = [TopicPartition(topic, p) for p in partitions_of(consumer, topic)]
    print(json.dumps({str(p.partition): p.offset for p in consumer.committed(places, timeout=10)}))
    consumer.close()


def commit(broker, group, topic, partition, offset):
    consumer = Consumer({"bootstrap.servers": broker, "group.id": group})
    consumer.commit(offsets=[TopicPartition(topic, int(partition), int(offset))], asynchronous=False)
    consumer.close()


def main(action, *arguments):
    if action == "dump-aio":
        asyncio.run(dump_aio(*arguments))
    else:
        {"create": create, "delete": delete, "produce": produce, "odd": odd, "dump": dump,
         "committed": committed, "commit": commit, "mock": mock,
         "expel": expel, "abort": abort, "unreadable": unreadable}[action](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
