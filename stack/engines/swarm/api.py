"""Ask a Docker daemon, wherever the client reaches it: over its socket, or through `docker system dial-stdio`.

One connection lasts for many questions: over SSH each new one takes a second.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from stack.engines.docker import api, client, failures

_UNIX = "unix://"
# `--mode replicated-job` and a list of a task's ports came with 1.41; Docker Engine 25 has 1.44.
VERSION = "v1.44"
TIMEOUT = 30.0
# What a daemon answers that is in no Swarm, or no manager of one.
NO_MANAGER = 503


class Refused(Exception):
    """The daemon answered with an error: `status` as in HTTP, and its own words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Api:
    """A daemon that is asked: that of the client, or with `host` another, as `docker --host` takes it."""

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def get(
        self,
        path: str,
        filters: Mapping[str, Sequence[str]] | None = None,
        timeout: float = TIMEOUT,
        everything: bool = False,
    ) -> Any:
        """Return what it answers, None if there is no such object. Raises `Refused`, and `docker-daemon`.

        With `everything` also the containers that do not run.
        """
        asked = {**({"filters": json.dumps(filters)} if filters else {}), **({"all": "1"} if everything else {})}
        query = f"?{urlencode(asked)}" if asked else ""
        with self._lock:
            status, body = self._answer(f"/{VERSION}{path}{query}", timeout)
        if status == http.client.NOT_FOUND:
            return None
        found = json.loads(body)
        if status != http.client.OK:
            raise Refused(status, str(found.get("message", "")))
        return found

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _answer(self, path: str, timeout: float) -> tuple[int, bytes]:
        if self._connection is not None:
            # A daemon ends what was silent for long.
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._connection.ask(path, timeout)
            self._connection.close()
        self._connection = _Connection(self._host)
        try:
            return self._connection.ask(path, timeout)
        except (OSError, http.client.HTTPException) as error:
            said = self._connection.close()
            self._connection = None
            if isinstance(error, TimeoutError):
                raise failures.daemon_silent(f"no answer to GET {path} within {timeout:g} s") from error
            words = said or f"Cannot connect to the Docker daemon: {error}"
            raise client.failed("system dial-stdio", words) from error


class _Connection:
    """A connection to a daemon, and the process that carries it, if one does."""

    def __init__(self, host: str | None) -> None:
        self._http = http.client.HTTPConnection("docker")
        self._process: subprocess.Popen[bytes] | None = None
        path = _socket_of(host)
        self._http.sock = _connected(path) if path is not None else self._dial(host)

    def ask(self, path: str, timeout: float) -> tuple[int, bytes]:
        if self._http.sock is None:
            raise ConnectionError("the daemon has ended the connection")
        self._http.sock.settimeout(timeout)
        self._http.request("GET", path)
        with self._http.getresponse() as answer:
            return answer.status, answer.read()

    def close(self) -> str:
        """End it; return what the process complained of."""
        self._http.close()
        if self._process is None:
            return ""
        try:
            _, said = self._process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, said = self._process.communicate()
        return said.decode("utf-8", errors="replace")

    def _dial(self, host: str | None) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                client.command([*on_host(host), "system", "dial-stdio"]),
                stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE,
                env=dict(client.environment()), start_new_session=True,
            )  # fmt: skip
        return ours


def on_host(host: str | None) -> list[str]:
    """Return the words that lead the client to a daemon; none for its own."""
    return [] if host is None else ["--host", host]


@functools.cache
def daemon(host: str | None = None) -> Api:
    """Return the daemon that is asked by all of this process, by one connection."""
    return Api(host)


def _socket_of(host: str | None) -> str | None:
    """Return the socket of this machine behind which the daemon is, if it is."""
    if host is not None:
        return host.removeprefix(_UNIX) if host.startswith(_UNIX) else None
    own = api.local()
    return None if own is None else own.path


def _connected(path: str) -> socket.socket | None:
    """Connect to a socket; None if nothing is behind it, which the next question reports."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(TIMEOUT)
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection
