"""Servers that say what no well-behaved server says: bytes over TCP, conversations, DNS."""

import socket
import ssl
import struct
import threading
import time


def started(run, *arguments):
    threading.Thread(target=run, args=arguments, daemon=True).start()


def listener(port=0):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(50)
    return server


def each(server, answer):
    def guarded(connection):
        try:
            answer(connection)
        except (OSError, struct.error, IndexError):
            pass  # the client has gone
        connection.close()

    while True:
        started(guarded, server.accept()[0])


def wrapped(connection, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/good.pem", f"{folder}/good.key")
    return context.wrap_socket(connection, server_side=True)


def raw(reply):
    """Answers a request with these bytes; the URL."""
    server = listener()

    def answer(connection):
        connection.recv(65536)
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        connection.recv(10)

    started(each, server, answer)
    return f"http://127.0.0.1:{server.getsockname()[1]}/"


def talk(folder, script):
    """Says bytes, reads a line for None, waits for a number, shakes hands for `tls`; the address."""
    server = listener()

    def answer(connection):
        stream = connection.makefile("rwb", 0)
        for step in script:
            if step is None:
                stream.readline()
            elif step == "tls":
                connection = wrapped(connection, folder)
                stream = connection.makefile("rwb", 0)
            elif isinstance(step, bytes):
                stream.write(step)
            else:
                time.sleep(step)
        stream.close()
        connection.close()

    started(each, server, answer)
    return f"127.0.0.1:{server.getsockname()[1]}"


def dns(make, folder=None):
    """Answers questions with what `make` makes of them, a list for several; over TLS with a folder."""
    while True:
        by_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        by_udp.bind(("127.0.0.1", 0))
        port = by_udp.getsockname()[1]
        try:
            by_tcp = listener(port)
            break
        except OSError:
            by_udp.close()

    def datagrams():
        while True:
            question, client = by_udp.recvfrom(65535)
            made = make(question)
            for reply in made if isinstance(made, list) else [made]:
                if reply is not None:
                    by_udp.sendto(reply, client)

    def answer(connection):
        if folder:
            connection = wrapped(connection, folder)
        length = struct.unpack(">H", connection.recv(2))[0]
        made = make(connection.recv(length))
        if made is not None:
            connection.sendall(struct.pack(">H", len(made)) + made)
        time.sleep(0.2)

    started(datagrams)
    started(each, by_tcp, answer)
    return port


def name(text):
    labels = [label for label in text.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("latin1") for label in labels) + b"\0"


def record(owner, kind, data, ttl=300, family=1):
    return name(owner) + struct.pack(">HHIH", kind, family, ttl, len(data)) + data


def address(owner, ip, ttl=300):
    return record(owner, 1, bytes(map(int, ip.split("."))), ttl)


def reply(question, answer=(), authority=(), additional=(), flags=0x8180, counts=None, echo=True):
    counts = counts or (int(echo), len(answer), len(authority), len(additional))
    head = question[:2] + struct.pack(">HHHHH", flags, *counts)
    sections = b"".join([*answer, *authority, *additional])
    return head + (question[12:] if echo else b"") + sections
