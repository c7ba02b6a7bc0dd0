"""A TCP proxy on loopback that does to a server's connections what networks do, and can be told so while it runs."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Literal

Fault = Literal["none", "refuse", "silent", "reset", "slow", "late"]
"""`refuse`: a connection is reset at once. `silent`: accepted, and never answered. `reset`: cut in the middle of a
reply. `slow`: a byte of a reply a second. `late`: each reply 300 ms later."""

FAULTS: tuple[Fault, ...] = ("refuse", "silent", "reset", "slow", "late")

_LATE = 0.3
_SLOW = 1.0
_POLL = 0.05


class Proxy:
    """In front of one server. A new fault also breaks the connections that are there."""

    def __init__(self, host: str, port: int = 0) -> None:
        """`host` may be the path of a unix socket, which has no port."""
        self._target = (host, port)
        self._fault: Fault = "none"
        self._changed = threading.Event()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_POLL)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def set(self, fault: Fault) -> None:
        self._fault = fault
        self.cut()

    def cut(self) -> None:
        """End every connection that there is."""
        with self._lock:
            sockets, self._open = self._open, set()
        for each in sockets:
            _reset(each)

    def close(self) -> None:
        self._over.set()
        self.cut()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            if self._fault == "refuse":
                _reset(client)
                continue
            self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        try:
            server = _connect(*self._target)
        except OSError:
            _reset(client)
            return
        with self._lock:
            self._open |= {client, server}
        for source, target, replies in ((client, server, False), (server, client, True)):
            thread = threading.Thread(target=self._pump, args=(source, target, replies), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pump(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with contextlib.suppress(OSError):
            source.settimeout(_POLL)
            target.settimeout(5)
            while not self._over.is_set():
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                if not data:
                    break
                if not self._pass_on(data, target, replies):
                    break
        for each in (source, target):
            _reset(each)

    def _pass_on(self, data: bytes, target: socket.socket, replies: bool) -> bool:
        """Whether the connection goes on. The fault that holds when a reply comes is done to it."""
        match self._fault if replies else "none":
            case "silent":
                return True
            case "reset":
                target.sendall(data[: len(data) // 2])
                _reset(target)
                return False
            case "slow":
                for byte in data:
                    target.sendall(bytes([byte]))
                    if self._over.wait(_SLOW):
                        return False
                return True
            case "late":
                self._over.wait(_LATE)
        target.sendall(data)
        return True


def _connect(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port), timeout=5)
    server = socket.socket(socket.AF_UNIX)
    server.connect(host)
    return server


def _reset(connection: socket.socket) -> None:
    """End a connection, by a reset and not in peace; whoever waits for it in another thread wakes up."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def proxy(host: str, port: int = 0) -> Iterator[Proxy]:
    made = Proxy(host, port)
    try:
        yield made
    finally:
        made.close()
