"""A bounded pool of connections to PostgreSQL, made once per worker process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .connection import Connection, ConnectionLost


class Pool:
    """At most `size` connections, opened when needed; the one used last is used next.

    `connect` opens one by a deadline, as `Connection` does.
    """

    def __init__(self, connect: Callable[[float], Connection], size: int) -> None:
        self._connect = connect
        self._places = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []

    @contextmanager
    def connection(self, deadline: float) -> Iterator[Connection]:
        """A live connection for one caller. Raises ConnectionLost if there is none by the deadline.

        The server hung up on idle connections when it restarted: they are found before anything is sent on them,
        so replacing them repeats nothing.
        """
        if not self._places.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise ConnectionLost("all connections to PostgreSQL are in use")
        try:
            connection = self._take() or self._connect(deadline)
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    def was_hung_up(self) -> bool:
        """Whether the server has hung up on the connection that would be used next."""
        return any(connection.was_hung_up() for connection in self._idle[-1:])

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> Connection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if not connection.was_hung_up():
                return connection
            connection.close()
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection.is_usable:
            self._idle.append(connection)
        else:
            connection.close()
