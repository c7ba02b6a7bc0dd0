"""Ask a Docker daemon over its socket: it answers within a millisecond, and a `docker` process takes twenty.

Only questions go this way. A daemon that the client reaches otherwise, or that does not answer well, is asked through
the client, whose messages say what is wrong.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stack.engines.docker import failures
from stack.frozen import dataclass

_DEFAULT = "unix:///var/run/docker.sock"
_UNIX = "unix://"


@dataclass(frozen=True)
class Answer:
    """What the daemon answered: `found` is None if there is no such object."""

    found: Any


@dataclass(frozen=True)
class Daemon:
    """A daemon behind a socket of this machine."""

    path: str

    def get(self, path: str, timeout: float, query: Mapping[str, str] | None = None) -> Answer | None:
        """Return its answer; None if it can't be asked so. Raises `docker-daemon` if it does not answer in time."""
        asked = f"{path}?{'&'.join(f'{name}={quote(value)}' for name, value in query.items())}" if query else path
        try:
            status, body = self._exchange(asked, timeout)
        except TimeoutError as error:
            raise failures.daemon_silent(f"no answer to GET {path} within {timeout:g} s") from error
        except OSError:
            return None
        if status == b"404":
            return Answer(None)
        if status != b"200":
            return None
        try:
            return Answer(json.loads(body))
        except ValueError:
            return None

    def get_each(
        self, paths: Sequence[str], timeout: float, query: Mapping[str, str] | None = None
    ) -> list[Answer | None]:
        """Return what `get` does for each of these paths, in their order."""
        return [self.get(path, timeout, query) for path in paths]

    def _exchange(self, asked: str, timeout: float) -> tuple[bytes, bytes]:
        """Return the status and the body of an answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(self.path)
            # With this version the answer has no chunks, and ends with the connection.
            connection.sendall(f"GET {asked} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        return b"".join(head.split(b" ", 2)[1:2]), body


def behind(host: str | None) -> Daemon | None:
    """Return the daemon of the server `host`; without one that which the client would ask, if it can be asked so."""
    if host is None:
        return local()
    # Only for a server is it loaded.
    from stack.engines.docker import connection

    return connection.daemon_at(connection.socket_of(host))


@functools.cache
def local() -> Daemon | None:
    """Return the daemon that the client would ask, if that is behind a socket of this machine."""
    address = os.environ.get("DOCKER_HOST") or address_of(_context())
    return Daemon(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else None


def folder() -> Path:
    """Return the folder with what the docker client keeps for this user."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def configuration() -> dict[str, Any]:
    """Return what the docker client is configured to do; empty if nothing is."""
    return read_object(folder() / "config.json")


def _context() -> str:
    """Return the name of the context in use, as the client chooses it."""
    chosen = os.environ.get("DOCKER_CONTEXT") or configuration().get("currentContext")
    return chosen if isinstance(chosen, str) and chosen else "default"


def address_of(context: str) -> str:
    """Return where a context leads; empty if that is not known here."""
    if context == "default":
        return _DEFAULT
    # The client names the folder of a context so (docker/cli, cli/context/store).
    named = hashlib.sha256(context.encode()).hexdigest()
    address: Any = read_object(folder() / "contexts" / "meta" / named / "meta.json")
    for key in ("Endpoints", "docker", "Host"):
        address = address.get(key) if isinstance(address, dict) else None
    return address if isinstance(address, str) else ""


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; anything else, and no file, gives an empty one."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
