"""The client for machines without wrk: client.py PORT PATH CONNECTIONS SECONDS METHOD PAGES, and one line in the end.

Two processes with a loop each; it needs nothing but Python. The line has how busy the busier one was: a client that
had no time to wait measured itself.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

PROCESSES = 2


@dataclass
class Tally:
    """What became of the requests of one process."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    busy: float = 0.0


@dataclass
class Connection:
    """A connection that has asked and waits for the answer."""

    socket: socket.socket
    asked: float = 0.0
    answer: bytes = b""


def ask(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Tally:
    """Ask on so many connections until the time is over."""
    tally = Tally()
    selector = selectors.DefaultSelector()
    began, worked = time.monotonic(), time.process_time()
    try:
        for _ in range(connections):
            opened = socket.create_connection(("127.0.0.1", port), timeout=10)
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(opened)
            selector.register(opened, selectors.EVENT_READ, connection)
            _send(connection, next(requests))
        while time.monotonic() - began < seconds:
            for key, _ in selector.select(timeout=0.1):
                _receive(key.data, requests, tally)
        tally.busy = (time.process_time() - worked) / (time.monotonic() - began)
    finally:
        for key in list(selector.get_map().values()):
            key.data.socket.close()
        selector.close()
    return tally


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer is there: its head, and as many bytes as the head says."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return True


def _send(connection: Connection, request: bytes) -> None:
    connection.answer, connection.asked = b"", time.monotonic()
    connection.socket.sendall(request)


def _receive(connection: Connection, requests: Iterator[bytes], tally: Tally) -> None:
    received = connection.socket.recv(65536)
    if not received:
        raise ConnectionError("the server hung up")
    connection.answer += received
    if is_whole(connection.answer):
        tally.seconds.append(time.monotonic() - connection.asked)
        tally.failed += not connection.answer.startswith(b"HTTP/1.1 2")
        _send(connection, next(requests))


def _requests(method: str, path: str, pages: int, first: int) -> Iterator[bytes]:
    for number in count(first):
        target = f"{path}{number % pages + 1}" if pages > 1 else path
        yield f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode()


def _share(arguments: tuple[int, str, int, float, str, int, int]) -> Tally:
    port, path, connections, seconds, method, pages, first = arguments
    return ask(port, _requests(method, path, pages, first), connections, seconds)


def main(arguments: Sequence[str]) -> None:
    port, path, connections, seconds, method, pages = arguments
    shares = [(int(connections) + number) // PROCESSES for number in range(PROCESSES)]
    work = [
        (int(port), path, share, float(seconds), method, int(pages), number * int(pages) // PROCESSES)
        for number, share in enumerate(shares)
        if share
    ]
    with multiprocessing.Pool(len(work)) as pool:
        tallies = pool.map(_share, work)
    latencies = sorted(latency for tally in tallies for latency in tally.seconds) or [0.0]
    half, most = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    failed, busy = sum(tally.failed for tally in tallies), max(tally.busy for tally in tallies)
    answered = sum(len(tally.seconds) for tally in tallies)
    print(f"load: requests={answered} seconds={seconds} p50={half:f} p99={most:f} failed={failed} busy={busy:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
