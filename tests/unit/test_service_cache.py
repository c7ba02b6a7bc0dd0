"""A Redis that falls silent delays the requests of that moment, and no later ones."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.breaker import Breaker
from service.cache import RedisCache
from service.config import Config
from service.store import Lookup, Result

_COPY = b"*1\r\n$1\r\n7\r\n"  # an array of one string


class Silent:
    """Accepts connections, and answers nothing until it `speaks`; then each question with the copy 7."""

    def __init__(self) -> None:
        self.speaks = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """From here on connections are refused."""
        with suppress(OSError):  # it was closed before
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while connection.recv(4096):
                if self.speaks.is_set():
                    connection.sendall(_COPY)


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.close()


@pytest.fixture
def closed() -> threading.Event:
    return threading.Event()


@pytest.fixture
def cache(silent: Silent, closed: threading.Event) -> Iterator[RedisCache]:
    config = Config("", 0, "", "", None, "127.0.0.1", silent.port, None, 300)
    breaker = Breaker(
        time.monotonic, interval=0.05, on_change=lambda is_open, why: closed.clear() if is_open else closed.set()
    )
    cache = RedisCache(config, breaker)
    yield cache
    cache.close()


def test_requests_after_a_timeout_do_not_wait(cache: RedisCache) -> None:
    assert cache.get("page") == Lookup(Result.ERROR)
    assert [cache.get("page") for _ in range(1000)] == [Lookup(Result.BYPASS)] * 1000


def test_concurrent_requests_share_one_timeout(cache: RedisCache) -> None:
    results: list[Result] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("page").result)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(results) == 8
    assert set(results) <= {Result.ERROR, Result.BYPASS}
    assert cache.get("page").result is Result.BYPASS


def test_it_is_used_again_without_a_request_in_between(
    silent: Silent, cache: RedisCache, closed: threading.Event
) -> None:
    assert cache.get("page") == Lookup(Result.ERROR)
    silent.speaks.set()
    assert closed.wait(10), "a probe found that it answers"
    assert cache.get("page") == Lookup(Result.HIT, 7)


def test_a_connection_that_is_refused_is_tried_again_at_once(silent: Silent, cache: RedisCache) -> None:
    silent.close()
    assert [cache.get("page").result for _ in range(4)] == [Result.ERROR] * 3 + [Result.BYPASS]
