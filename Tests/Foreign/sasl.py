"""Stands before a Kafka broker that knows no SASL and asks for it (KIP-12, KIP-43, KIP-152).

    sasl.py BROKER USER PASSWORD TOKEN     prints `port N`; ends with its standard input

PLAIN is RFC 4616, SCRAM RFC 5802 and 7677, OAUTHBEARER RFC 7628. Prints a line for each client that
was let in, `in MECHANISM`, or not, `out MECHANISM`.
"""
import base64
import hashlib
import hmac
import os
import socket
import struct
import sys
import threading

BROKER, USER, PASSWORD, TOKEN = sys.argv[1], *(text.encode() for text in sys.argv[2:])
BROKER_PORT = int(BROKER.rsplit(":", 1)[1])
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
HANDSHAKE, VERSIONS, AUTHENTICATE = 17, 18, 36


def frame(stream):
    head = stream.read(4)
    return stream.read(struct.unpack(">i", head)[0]) if len(head) == 4 else b""


def send(connection, data):
    connection.sendall(struct.pack(">i", len(data)) + data)


def text(data):
    return struct.pack(">h", len(data)) + data


def body(request):
    """What follows the client's name in a request."""
    length = struct.unpack_from(">h", request, 8)[0]
    return request[10 + max(0, length):]


def versions(request, server, stream):
    """The broker's answer and what it does not know; the first version, which all clients read."""
    number = request[4:8]
    if struct.unpack_from(">h", request, 2)[0] > 0:
        return number + struct.pack(">hi", 35, 0)
    send(server, struct.pack(">hh", VERSIONS, 0) + number + struct.pack(">h", -1))
    answer = frame(stream)
    count = struct.unpack_from(">i", answer, 6)[0]
    known = {struct.unpack_from(">h", answer, 10 + 6 * n)[0]: answer[10 + 6 * n:16 + 6 * n]
             for n in range(count)}
    for api in (HANDSHAKE, AUTHENTICATE):
        known[api] = struct.pack(">hhh", api, 0, 1)
    return number + struct.pack(">hi", 0, len(known)) + b"".join(known.values())


def plain(message):
    yield b"" if message.split(b"\0")[1:] == [USER, PASSWORD] else None


def bearer(message):
    yield b"" if message == b"n,,\x01auth=Bearer " + TOKEN + b"\x01\x01" else None


def scram(digest):
    def run(first):
        bare = first.removeprefix(b"n,,")
        fields = dict(part.split(b"=", 1) for part in bare.split(b","))
        salt, nonce = os.urandom(16), fields[b"r"] + base64.b64encode(os.urandom(16))
        challenge = b"r=" + nonce + b",s=" + base64.b64encode(salt) + b",i=4096"
        final = yield challenge
        without, proof = final.rsplit(b",p=", 1)

        def mac(key, data):
            return hmac.new(key, data, digest).digest()

        salted = hashlib.pbkdf2_hmac(digest, PASSWORD, salt, 4096)
        stored = hashlib.new(digest, mac(salted, b"Client Key")).digest()
        said = b",".join([bare, challenge, without])
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), mac(stored, said)))
        # librdkafka before 2.6.1 puts its own nonce there twice, which Kafka takes.
        is_good = (fields[b"n"] == USER and without.endswith(nonce)
                   and hashlib.new(digest, key).digest() == stored)
        signature = mac(mac(salted, b"Server Key"), said)
        yield b"v=" + base64.b64encode(signature) if is_good else None
    return run


STEPS = {"PLAIN": (plain, 1), "OAUTHBEARER": (bearer, 1), "SCRAM-SHA-256": (scram("sha256"), 2),
         "SCRAM-SHA-512": (scram("sha512"), 2)}


def let_in(client, requests, server, answers):
    """Whether the client has shown who it is."""
    mechanism, steps, left = None, None, 0
    while request := frame(requests):
        api, version = struct.unpack_from(">hh", request)
        number = request[4:8]
        if api == VERSIONS:
            send(client, versions(request, server, answers))
        elif api == HANDSHAKE:
            mechanism = body(request)[2:].decode()
            code = 0 if mechanism in STEPS else 33
            send(client, number + struct.pack(">hi", code, len(MECHANISMS))
                 + b"".join(text(m.encode()) for m in MECHANISMS))
        elif api == AUTHENTICATE and mechanism in STEPS:
            message = body(request)[4:]
            if steps is None:
                run, left = STEPS[mechanism]
                steps = run(message)
                reply = next(steps)
            else:
                reply = steps.send(message)
            left -= 1
            end = struct.pack(">q", 0) if version > 0 else b""
            if reply is None:
                print("out", mechanism, flush=True)
                send(client, number + struct.pack(">h", 58) + text(b"who are you?")
                     + struct.pack(">i", 0) + end)
                return False
            send(client, number + struct.pack(">hhi", 0, -1, len(reply)) + reply + end)
            if left == 0:
                print("in", mechanism, flush=True)
                return True
        else:
            return False
    return False


def pass_on(source, target, old=b"", new=b""):
    try:
        while data := frame(source):
            send(target, data.replace(old, new) if old else data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def serve(client, port):
    with client, socket.create_connection(("127.0.0.1", BROKER_PORT), 20) as server:
        requests, answers = client.makefile("rb"), server.makefile("rb")
        server.settimeout(None)
        try:
            if not let_in(client, requests, server, answers):
                return
        except (OSError, ValueError, KeyError, StopIteration):
            return
        # Clients must come back here and not go to the broker.
        address = [b"127.0.0.1" + struct.pack(">i", number) for number in (BROKER_PORT, port)]
        back = threading.Thread(target=pass_on, args=(answers, client, *address), daemon=True)
        back.start()
        pass_on(requests, server)
        back.join()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    print("port", port, flush=True)

    def accept():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
