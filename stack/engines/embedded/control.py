"""Control supervisord over its unix socket, in XML-RPC: every call has a timeout."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stack.engines.embedded.waiting import wait_until
from stack.errors import StackError
from stack.frozen import dataclass

_TIMEOUT = 5.0
# The fault that supervisord answers with while it shuts down.
_SHUTDOWN_STATE = 6
# The states of a program that runs, or is about to.
_ALIVE = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")


@dataclass(frozen=True)
class Program:
    """A program as supervisord sees it: its own word for the state (`RUNNING`).

    `since`: the time of its last start (epoch), `ended` that of its last end; 0 if there was none. `exit_code`: of that
    end, negative if a signal was it.
    """

    name: str
    state: str
    since: float
    ended: float = 0
    exit_code: int = 0


class NotRunning(StackError):
    """There is no supervisord behind the socket, or it is shutting down and accepts no commands."""


class Control:
    """The supervisord behind a socket. Methods raise `NotRunning`, and `supervisord-silent` if it gives no answer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def answers(self) -> bool:
        """Whether a supervisord runs. Raises `supervisord-silent` for one that is frozen or broken."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_TIMEOUT)
                probe.connect(str(self._path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise _silent(self._path, error) from error
        return True

    def programs(self) -> tuple[Program, ...]:
        return tuple(
            Program(info["name"], info["statename"], info["start"], info["stop"], info["exitstatus"])
            for info in self._call("getAllProcessInfo")
        )

    def reload(self) -> tuple[list[str], list[str], list[str]]:
        """Read the configuration again; touch no program. Return the names of new, changed and removed programs."""
        [[added, changed, removed]] = self._call("reloadConfig")
        return added, changed, removed

    def add(self, name: str) -> None:
        """Add a program of the configuration and start it."""
        self._call("addProcessGroup", name)

    def remove(self, name: str) -> None:
        """Remove a program that was stopped."""
        self._call("removeProcessGroup", name)

    def start(self, name: str) -> None:
        self._call("startProcess", name, False)

    def stop(self, graces: Mapping[str, float]) -> None:
        """Stop programs at once, each of which may take so many seconds, and keep them.

        supervisord notices the end of a program once a second, and whenever it is asked something.
        """
        for name in graces:
            self._call("stopProcessGroup", name, False)

        def all_stopped() -> bool:
            return not any(each.name in graces and each.state in _ALIVE for each in self.programs())

        if not wait_until(all_stopped, _TIMEOUT + max(graces.values(), default=0)):
            raise _silent(self._path, TimeoutError(f"{', '.join(graces)} did not end"))

    def shut_down(self) -> None:
        """Begin to stop all programs in order, and then supervisord itself."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _Transport(self._path, _TIMEOUT)
        server = xmlrpc.client.ServerProxy("http://supervisord/RPC2", transport=transport)
        try:
            with server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            if error.faultCode == _SHUTDOWN_STATE:
                raise NotRunning(
                    "supervisord-silent", f"the supervisord at {self._path} ends", "run `stackctl up`"
                ) from error
            raise StackError(
                "supervisord-failed", f"supervisord refused {method}: {error.faultString}", "look at its log"
            ) from error
        except (ConnectionError, FileNotFoundError) as error:
            raise NotRunning(
                "supervisord-silent", f"there is no supervisord at {self._path}", "run `stackctl up`"
            ) from error
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise _silent(self._path, error) from error


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        # `close` looks for it there.
        self._connection = host, _Connection(self._path, self._timeout)
        return self._connection[1]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("supervisord", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _silent(path: Path, error: Exception) -> StackError:
    return StackError(
        "supervisord-silent",
        f"supervisord does not answer at {path}: {error}",
        "run `stackctl down`, which ends it, and then `stackctl up`; the data is kept",
    )
