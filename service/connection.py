"""One connection to PostgreSQL on which every call ends by a deadline, also when the server is frozen.

psycopg2 cannot time out a call by itself, and `statement_timeout` is kept by the server. So the connection is an
asynchronous one, and this module waits for its socket. Asynchronous connections commit every statement.
"""

from __future__ import annotations

import re
import select
import threading
import time
from typing import Any

import psycopg2
import psycopg2.extensions

from .config import Config

_POLLED = {
    psycopg2.extensions.POLL_READ: select.POLLIN,
    psycopg2.extensions.POLL_WRITE: select.POLLOUT,
}


# How long, in seconds, a password may be refused that is about to be replaced.
_ROTATION = 0.5
_REFUSED = re.compile("password authentication failed|no password supplied")


class ConnectionLost(Exception):
    """The connection broke or its deadline passed; whether a statement that was under way ran is unknown."""


class Connection:
    """Used by one thread at a time. Deadlines are times of `time.monotonic`."""

    def __init__(self, config: Config, deadline: float, statement_timeout: float) -> None:
        """Connect. The server gives a statement up after `statement_timeout` seconds. Raises ConnectionLost."""
        self._in_use = False
        patience = min(deadline, time.monotonic() + _ROTATION)
        while True:
            password = config.db_password()
            try:
                return self._connect(config, password, deadline, statement_timeout)
            except psycopg2.Error as error:
                if not _REFUSED.search(str(error)) or not _is_replaced(config, password, patience):
                    raise ConnectionLost(_first_line(error)) from error

    def _connect(self, config: Config, password: str | None, deadline: float, statement_timeout: float) -> None:
        self._raw: Any = psycopg2.connect(
            host=config.db_host,
            port=config.db_port,
            dbname=config.db_name,
            user=config.db_user,
            password=password,
            application_name="visit-counter",
            options=f"-c statement_timeout={round(statement_timeout * 1000)}",
            async_=True,
        )
        try:
            self._wait(deadline)
        except psycopg2.Error:
            self.close()
            raise

    @property
    def is_usable(self) -> bool:
        """Whether it is open and nothing is under way on it."""
        return not self._in_use and not self._raw.closed

    def was_hung_up(self) -> bool:
        """Whether the server has ended an idle connection, without asking it: else it has nothing to say on one."""
        try:
            ended = self._raw.closed or _ready(self._raw.fileno(), select.POLLIN, 0)
        except psycopg2.InterfaceError:  # another thread took it, and closed it, just now
            return False
        return bool(ended) and not self._in_use

    def execute(self, statement: str, parameters: dict[str, object], deadline: float) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows.

        Raises psycopg2.Error if the server refused it, in which case nothing of it remains, or ConnectionLost.
        """
        self._in_use = True
        try:
            cursor = self._raw.cursor()
            cursor.execute(statement, parameters)
            self._wait(deadline)
        except psycopg2.Error as error:
            if self._raw.closed:
                raise ConnectionLost(_first_line(error)) from error
            self._in_use = False
            raise
        self._in_use = False
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._raw.close()

    def _wait(self, deadline: float) -> None:
        """Let the connection work until it has finished. Closes it when the deadline passes: ConnectionLost."""
        while (state := self._raw.poll()) != psycopg2.extensions.POLL_OK:
            if not _ready(self._raw.fileno(), _POLLED[state], deadline - time.monotonic()):
                self.close()
                raise ConnectionLost("PostgreSQL does not answer")


def _is_replaced(config: Config, password: str | None, until: float) -> bool:
    """Whether the password becomes another one. While it is rotated the server knows the new one before its file."""
    pause = threading.Event()
    while (same := config.db_password() == password) and time.monotonic() < until:
        pause.wait(0.02)
    return not same


def _ready(descriptor: int, events: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(max(0, round(seconds * 1000))))


def _first_line(error: Exception) -> str:
    """Enough to find the cause, on one line; the driver never puts a password in its messages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
