"""What deploy/bench-sharing runs; see there."""

import http.client
import importlib.util
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import urllib.request

spec = importlib.util.spec_from_file_location(
    "bench_kafka", os.path.join(os.path.dirname(__file__), "bench-kafka.py"))
kafka = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kafka)

SENSORS = 12
BODY = b'{"ref": "refs/heads/main", "padding": "' + b"x" * 1900 + b'"}'


def manifests(bus, port):
    parts = [bus] if bus else []
    parts.append(f"""\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: hooks}}
spec: {{webhook: {{any: {{endpoint: /any, port: "{port}", method: POST}}}}}}
""")
    for number in range(SENSORS):
        parts.append(f"""\
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: s{number}}}
spec:
  dependencies:
    - name: it
      eventSourceName: hooks
      eventName: any
      filters: {{data: [{{path: body.ref, type: string, value: [refs/heads/main]}}]}}
  triggers: [{{template: {{name: note, log: {{}}}}}}]
""")
    return "---\n".join(parts)


class Program:
    def __init__(self, folder, bus):
        self.port, self.console = kafka.free_port(), kafka.free_port()
        os.makedirs(folder + "/secrets")
        with open(folder + "/all.yaml", "w") as file:
            file.write(manifests(bus, self.port))
        self.process = kafka.spawn(
            [kafka.PROGRAM, "run", folder + "/all.yaml", "--data", folder + "/data", "--secrets",
             folder + "/secrets", "--listen", "127.0.0.1", "--console", f"127.0.0.1:{self.console}",
             "--log-level", "error"], folder + "/output")

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.console}{path}", timeout=10) as answer:
            return answer.read().decode()

    def wait(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                return self.ask("/readyz")
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("a program ended")
                time.sleep(0.1)
        raise SystemExit("a program did not become ready")

    def ended(self):
        lines = re.findall(r"^signalbox_outcomes_total\{.* (\d+)$", self.ask("/metrics"), re.M)
        return sum(int(line) for line in lines)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def send(programs, events, callers):
    left = iter(range(events))
    lock = threading.Lock()

    def caller(number):
        port = programs[number % len(programs)].port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                if next(left, None) is None:
                    return
            connection.request("POST", "/any", BODY, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status // 100 != 2:
                raise SystemExit(f"status {answer.status}")

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(name, bus, count, events, callers):
    folder = tempfile.mkdtemp(prefix="signalbox-bench-")
    broker = None
    programs = []
    try:
        if bus:
            broker = kafka.Broker(folder)
            bus = bus.format(broker.address)
        programs = [Program(f"{folder}/{number}", bus) for number in range(count)]
        for program in programs:
            program.wait()
        if bus:
            deadline = time.monotonic() + 60
            while sum(len(re.findall(r"\d+", p.ask("/readyz"))) for p in programs) < 6:
                if time.monotonic() > deadline:
                    raise SystemExit("the partitions have no owners")
                time.sleep(0.2)
        began = time.monotonic()
        send(programs, events, callers)
        taken = time.monotonic() - began
        wanted = events * SENSORS
        deadline = time.monotonic() + 300
        while (done := sum(program.ended() for program in programs)) < wanted:
            if time.monotonic() > deadline:
                raise SystemExit(f"{done} of {wanted} firings ended")
            time.sleep(0.05)
        took = time.monotonic() - began
        print(f"{name}: {events / taken:.0f} webhooks/s taken, {wanted / took:.0f} firings/s ended",
              flush=True)
        return wanted / took
    finally:
        for program in programs:
            program.stop()
        if broker:
            broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    callers = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    bus = ("apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{name: default}}\n"
           'spec: {{kafka: {{url: "{}", topic: bus, signalbox: {{partitions: 6}}}}}}\n')
    alone = measure("embedded log, 1 program", None, 1, events, callers)
    for count in (1, 2, 3):
        rate = measure(f"shared bus, {count} program{'s' * (count > 1)}", bus, count, events, callers)
        print(f"  {rate / alone:.2f} of the embedded log", flush=True)


main()
