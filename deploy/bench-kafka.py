"""What deploy/bench-kafka runs; see there."""

import asyncio
import glob
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PROGRAM = os.environ["SIGNALBOX_PROGRAM"]
TOOLS = os.environ.get("SIGNALBOX_TEST_TOOLS", ".build/test-tools")
SETTINGS = ["-X", "acks=all", "-X", "enable.idempotence=true", "-X", "linger.ms=1"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def spawn(arguments, output):
    with open(output, "a") as file:
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


class Broker:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.start()

    def start(self):
        program = glob.glob(f"{TOOLS}/lib/python3*/site-packages/noida_db/noida-db")[0]
        self.process = spawn(
            [program, "start", "--only", "kafka", "--kafka-port", str(self.port), "--data-dir",
             self.folder + "/broker"], self.folder + "/broker.out")
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("no broker: see " + self.folder)
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def create(self, *topics):
        admin = AdminClient({"bootstrap.servers": self.address})
        for future in admin.create_topics([NewTopic(t, 4, 1) for t in topics]).values():
            future.result(20)

    def fill(self, topic, path):
        """Writes a file's lines with kcat; returns the seconds that took."""
        began = time.monotonic()
        subprocess.run(["kcat", "-P", "-b", self.address, "-t", topic, "-l", path, *SETTINGS],
                       check=True, stderr=subprocess.DEVNULL)
        return time.monotonic() - began

    def read(self, topic, form, output):
        """Reads a topic to its end with kcat; returns the seconds that took."""
        began = time.monotonic()
        subprocess.run(["kcat", "-C", "-b", self.address, "-t", topic, "-o", "beginning", "-e", "-q",
                        *form], check=True, stdout=output, stderr=subprocess.DEVNULL)
        return time.monotonic() - began


class Signalbox:
    def __init__(self, folder, manifest):
        self.folder = folder
        os.makedirs(folder + "/manifests")
        os.makedirs(folder + "/secrets")
        with open(folder + "/manifests/all.yaml", "w") as file:
            file.write(manifest)
        self.console = free_port()
        self.process = spawn(
            [PROGRAM, "run", folder + "/manifests", "--data", folder + "/data", "--secrets",
             folder + "/secrets", "--listen", "127.0.0.1", "--console",
             f"127.0.0.1:{self.console}", "--log-level", "warning"], folder + "/out")
        self.wait(lambda: "ready" in self.printed(), 60, "the start")

    def printed(self):
        with open(self.folder + "/out") as file:
            return file.read()

    def wait(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{what} did not come: {self.printed()[-2000:]}")
            time.sleep(0.05)

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024

    def records(self):
        dump = subprocess.Popen([PROGRAM, "log", "dump", "--data", self.folder + "/data"],
                                stdout=subprocess.PIPE, text=True)
        for line in dump.stdout:
            yield json.loads(line)
        if dump.wait() != 0:
            raise SystemExit("the log is damaged")

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            raise SystemExit("bad end: " + self.printed()[-2000:])


def source(address, topic, group):
    return f"""apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: in}}
spec:
  kafka:
    all:
      url: {address}
      topic: {topic}
      jsonBody: true
      consumerGroup: {{groupName: {group}, oldest: true}}
"""


def sensor(trigger):
    return """---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: copy}
spec:
  dependencies: [{name: message, eventSourceName: in, eventName: all}]
  triggers:
    - template:
        name: out
        """ + trigger + """
      retryStrategy: {steps: 20, duration: 200ms}
"""


def to_topic(address):
    return f"""kafka:
          url: {address}
          topic: out
          payload: [{{src: {{dependencyName: message, dataKey: body.n}}, dest: n}},
            {{src: {{dependencyName: message, dataKey: body.text}}, dest: text}}]"""


def committed(address, group, total):
    """Whether the group has committed everything."""
    printed = subprocess.run([sys.executable, "Tests/Foreign/kafka.py", "committed", address, group,
                              "in"], check=True, capture_output=True, text=True).stdout
    return sum(max(0, n) for n in json.loads(printed).values()) == total


def seconds(text):
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def consume(broker, folder, number, count):
    """Events a second that reach the log, from the first batch on it to the last."""
    group = f"consume-{number}"
    box = Signalbox(f"{folder}/consume-{number}", source(broker.address, "in", group))
    box.wait(lambda: committed(broker.address, group, count), 120, "the last event")
    memory = box.memory()
    box.stop()
    times = [seconds(r["logTime"]) for r in box.records() if r.get("type") == "kafka"]
    assert len(times) == count, f"{len(times)} events of {count}"
    later = [t for t in times if t > times[0]]
    return len(later) / (times[-1] - times[0]), memory


def produce(broker, folder, number, count):
    """Messages a second that the trigger writes, from the first on its topic to the last."""
    topic = f"out-{number}"
    broker.create(topic)
    manifest = source(broker.address, "few", f"produce-{number}") + sensor(
        to_topic(broker.address).replace("topic: out", f"topic: {topic}"))
    box = Signalbox(f"{folder}/produce-{number}", manifest)
    times = []

    def is_done():
        with open(folder + "/times", "w") as output:
            broker.read(topic, ["-f", "%T\n"], output)
        with open(folder + "/times") as file:
            times[:] = sorted(int(line) for line in file)
        return len(times) >= count

    box.wait(is_done, 120, "the last message")
    box.stop()
    return (len(times) - 1) / (times[-1] - times[0]) * 1000


class Receiver:
    """Takes HTTP calls and notes how old each body's `t` is."""

    def __init__(self):
        self.ages = []
        self.port = free_port()
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", self.port))
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
                body = json.loads(await reader.readexactly(length))
                self.ages.append(time.time() - float(body["t"]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


class Beside:
    """A consumer of confluent-kafka that reads a topic and notes how old each message's `t` is."""

    def __init__(self, address, topic):
        self.ages = []
        self.consumer = Consumer({"bootstrap.servers": address, "group.id": "beside",
                                  "enable.auto.commit": False})
        self.consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(4)])
        self.is_done = False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while not self.is_done:
            for message in self.consumer.consume(100, 0.01):
                if message.error() is None:
                    self.ages.append(time.time() - float(json.loads(message.value())["t"]))

    def stop(self):
        self.is_done = True
        self.thread.join()
        self.consumer.close()


def calls(broker, folder, rate, length):
    """Milliseconds from a message's sending to the trigger's call, and to a consumer beside it,
    both sorted."""
    receiver = Receiver()
    broker.create("calls")
    beside = Beside(broker.address, "calls")
    box = Signalbox(folder + "/calls", source(broker.address, "calls", "calls") + sensor(
        f"""http:
          url: http://127.0.0.1:{receiver.port}/
          payload: [{{src: {{dependencyName: message, dataKey: body.t}}, dest: t}}]"""))
    producer = Producer({"bootstrap.servers": broker.address, "linger.ms": 0})
    producer.produce("calls", json.dumps({"t": str(time.time())}))
    producer.flush()
    box.wait(lambda: receiver.ages, 60, "the first call")
    box.wait(lambda: beside.ages, 60, "the first message beside it")
    receiver.ages.clear()
    beside.ages.clear()
    began = time.monotonic()
    for number in range(rate * length):
        wait = began + number / rate - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        producer.produce("calls", json.dumps({"t": repr(time.time()), "text": "x" * 960}))
        producer.poll(0)
    producer.flush()
    box.wait(lambda: len(receiver.ages) >= rate * length, 60, "the last call")
    box.wait(lambda: len(beside.ages) >= rate * length, 60, "the last message beside it")
    box.stop()
    beside.stop()
    return [sorted(age * 1000 for age in ages) for ages in (receiver.ages, beside.ages)]


def bench(folder, rounds=5, count=60_000, length=20):
    broker = Broker(folder)
    broker.create("in", "few", "sink")
    few = min(count, 20_000)
    for name, number in [("in", count), ("few", few)]:
        with open(f"{folder}/{name}", "w") as file:
            for n in range(number):
                file.write(json.dumps({"n": n, "text": "x" * 998}) + "\n")
        broker.fill(name, f"{folder}/{name}")
    rows = {"kcat -C": [], "events": [], "kcat -P": [], "trigger": []}
    memory = []
    for number in range(rounds):
        with open(os.devnull, "w") as nowhere:
            rows["kcat -C"].append(count / broker.read("in", [], nowhere))
        rate, used = consume(broker, folder, number, count)
        rows["events"].append(rate)
        memory.append(used)
        topic = f"sink-{number}"
        broker.create(topic)
        rows["kcat -P"].append(few / broker.fill(topic, folder + "/few"))
        rows["trigger"].append(produce(broker, folder, number, few))
        print(number, {name: round(values[-1]) for name, values in rows.items()}, file=sys.stderr)
    broker.stop()
    # Once a second it writes all it holds and answers nobody meanwhile: here it holds little.
    fresh = Broker(folder + "/fresh")
    ages, others = calls(fresh, folder, 1000, length)
    fresh.stop()
    median = {name: statistics.median(values) for name, values in rows.items()}
    print(f"\nMedians of {rounds} rounds, {count} messages in and {few} out, {os.cpu_count()} cores:\n")
    print("| what | a second | beside kcat |\n|---|---|---|")
    print(f"| `kcat -C` to /dev/null | {median['kcat -C']:.0f} | |")
    print(f"| 1 KB messages to durable events | {median['events']:.0f} "
          f"| {median['events'] / median['kcat -C']:.2f} |")
    print(f"| `kcat -P` from a file | {median['kcat -P']:.0f} | |")
    print(f"| 1 KB messages by the trigger | {median['trigger']:.0f} "
          f"| {median['trigger'] / median['kcat -P']:.2f} |")
    print(f"\nFrom topic to the call of a trigger at 1,000 a second for {length} s: "
          f"{spread(ages)}. To a consumer of confluent-kafka beside it: {spread(others)}. "
          f"Memory after reading: {statistics.median(memory):.0f} MiB.")


def spread(ages):
    return (f"p50 {ages[len(ages) // 2]:.1f} ms, p99 {ages[len(ages) * 99 // 100]:.1f} ms, "
            f"most {ages[-1]:.1f} ms")


def soak(folder, minutes=20.0, rate=200):
    broker = Broker(folder)
    broker.create("in", "out")
    box = Signalbox(folder + "/soak", source(broker.address, "in", "soak") + sensor(
        to_topic(broker.address)))
    producer = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True,
                         "message.timeout.ms": 120000})
    failures = []
    began = time.monotonic()
    sent = 0
    line = []
    restart_at = 120.0
    while (now := time.monotonic() - began) < minutes * 60:
        for _ in range(rate // 10):
            producer.produce("in", json.dumps({"n": sent, "text": "x" * 980}),
                             on_delivery=lambda error, _: error and failures.append(str(error)))
            sent += 1
        producer.poll(0)
        if now >= 30 * (len(line) + 1):
            line.append(box.memory())
            print(f"{now / 60:5.1f} min  {sent} messages  {line[-1]:.1f} MiB", flush=True)
        if now >= restart_at:
            restart_at += 300
            broker.stop()
            broker.start()
        time.sleep(max(0, began + sent / rate - time.monotonic()))
    if producer.flush(120) or failures:
        raise SystemExit(f"not delivered: {failures[:3]}")
    box.wait(lambda: committed(broker.address, "soak", sent), 60, "lag 0")
    box.stop()
    broker.stop()
    kinds = {}
    ids = set()
    for record in box.records():
        kind = record.get("type")
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind == "kafka":
            ids.add(record["id"])
    print(f"{sent} messages, {kinds.get('kafka', 0)} events, {len(ids)} ids, "
          f"{kinds.get('signalbox.outcome.succeeded', 0)} succeeded")
    third = len(line) // 3
    if third:
        second, last = statistics.median(line[third:2 * third]), statistics.median(line[-third:])
        print(f"memory: second third {second:.1f} MiB, last third {last:.1f} MiB")
        if last > second * 1.1:
            raise SystemExit("memory grew by more than a tenth")
    if not sent == kinds.get("kafka", 0) == len(ids):
        raise SystemExit("a message is missing or there twice")


def main(arguments):
    # On the disk of the repository: where /tmp is memory a sync costs nothing.
    folder = tempfile.mkdtemp(dir=".", prefix=".bench-")
    try:
        if arguments[:1] == ["--soak"]:
            soak(folder, *[float(a) for a in arguments[1:2]])
        else:
            bench(folder, *[int(a) for a in arguments])
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
