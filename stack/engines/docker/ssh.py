"""Build the command lines of `ssh` to a server, and classify how they fail: pure, tested with texts as recorded.

All that the user's own configuration says of a server holds. Nothing is ever asked on the terminal, and a host key that
is not known is never accepted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from stack.engines.docker.failures import Known, first_known
from stack.errors import StackError, UsageError
from stack.frozen import dataclass

SCHEME = "ssh://"
_EXAMPLE = "for example: --host ssh://deploy@shop.example.com"
# Each may be the first letter of an option to ssh otherwise.
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.%+-]*")
_CONNECT_TIMEOUT = 10
# A connection that was cut silently, as by a laptop that slept, ends after these many seconds.
_ALIVE_INTERVAL, _ALIVE_COUNT = 5, 3
_OPTIONS: Mapping[str, str] = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": str(_CONNECT_TIMEOUT),
    "ServerAliveInterval": str(_ALIVE_INTERVAL),
    "ServerAliveCountMax": str(_ALIVE_COUNT),
    # Those of the user's configuration: another process of ssh may have them already.
    "ClearAllForwardings": "yes",
    "StreamLocalBindUnlink": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}
_FORWARDING = {"ClearAllForwardings": "no"}


@dataclass(frozen=True)
class Server:
    """A server by its address, `ssh://user@name:port/socket`; what is left out is as ssh itself and Docker have it."""

    name: str
    user: str | None = None
    port: int | None = None
    socket: str | None = None

    @classmethod
    def parse(cls, address: str) -> Server:
        """Raises `UsageError` for what is no address of a server."""
        try:
            parts = urlsplit(address)
            name, user, port = parts.hostname, parts.username, parts.port
        except ValueError as error:
            raise UsageError(f"{address!r} is not the address of a server: {error}", _EXAMPLE) from error
        if not address.startswith(SCHEME) or name is None:
            raise UsageError(f"{address!r} is not the address of a server", _EXAMPLE)
        if parts.password is not None:
            # The address is remembered, shown, and among the arguments of ssh.
            raise UsageError("the address of a server holds no password", "let an SSH key open it; " + _EXAMPLE)
        if parts.query or parts.fragment:
            raise UsageError(f"{address!r} has something after the name of the server", _EXAMPLE)
        # urlsplit makes the name small, and an alias in a configuration of ssh may have capitals.
        name = parts.netloc.rpartition("@")[2].partition(":")[0] if "[" not in parts.netloc else name
        for word in (name, *([user] if user else [])):
            if not _WORD.fullmatch(word) and ":" not in word:
                raise UsageError(f"{word!r} in {address!r} can't be the name of a server or user", _EXAMPLE)
        return cls(name, user or None, port, parts.path if parts.path not in ("", "/") else None)

    def __str__(self) -> str:
        user, port = f"{self.user}@" if self.user else "", f":{self.port}" if self.port else ""
        name = f"[{self.name}]" if ":" in self.name else self.name
        return f"{SCHEME}{user}{name}{port}{self.socket or ''}"


def open_master(server: Server, control: Path, log: Path, idle: int | None) -> list[str]:
    """Open a connection that goes on in the background until nothing has used it for `idle` seconds, or it is ended."""
    options = {"ControlMaster": "yes", "ControlPersist": "yes" if idle is None else str(idle)}
    return [*_ssh(server, control, options), "-E", str(log), "-f", "-N", *_target(server)]


def forward_ports(server: Server, control: Path, address: str, ports: Sequence[int]) -> list[str]:
    """Let an open connection make ports of an address of the server appear here."""
    forwards = [word for port in ports for word in ("-L", f"127.0.0.1:{port}:{address}:{port}")]
    return [*_ssh(server, control, _FORWARDING), "-O", "forward", *forwards, *_target(server)]


def run_on(server: Server, control: Path, command: Sequence[str]) -> list[str]:
    """Run a command on the server through an open connection."""
    return [*_ssh(server, control, {"ControlMaster": "no"}), *_target(server), shlex.join(command)]


def forward_socket(server: Server, control: Path, here: Path, there: str) -> list[str]:
    """Let an open connection make a socket of the server appear here."""
    return [*_ssh(server, control, _FORWARDING), "-O", "forward", "-L", f"{here}:{there}", *_target(server)]


def end(server: Server, control: Path) -> list[str]:
    """End a connection that goes on in the background."""
    return [*_ssh(server, control, {}), "-O", "exit", *_target(server)]


def _ssh(server: Server, control: Path, options: Mapping[str, str]) -> list[str]:
    chosen = {**_OPTIONS, **options, "ControlPath": str(control)}
    user = ["-l", server.user] if server.user else []
    port = ["-p", str(server.port)] if server.port else []
    return ["ssh", *(word for name, value in chosen.items() for word in ("-o", f"{name}={value}")), *user, *port]


def _target(server: Server) -> list[str]:
    return ["--", server.name]


# The first that matches wins; `{}` stands for the address of the server.
_KNOWN = (
    Known(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "host-key-changed",
        "{} shows another host key than the one that is known: it was reinstalled, or something pretends to be it",
        "find out which; if it was reinstalled, remove the old key with `ssh-keygen -R` and connect once with `ssh`; "
        "nothing was sent to it",
    ),
    Known(
        r"Host key verification failed|No \S+ host key is known",
        "host-key-unknown",
        "the host key of {} is not known on this machine, and stackctl accepts none by itself",
        "connect once with `ssh`, compare the fingerprint that it shows with that of the server, and accept it",
    ),
    Known(
        r"Permission denied \(|Too many authentication failures|UNPROTECTED PRIVATE KEY FILE",
        "ssh-refused",
        "{} accepts no SSH key of this user",
        "add a key to the agent with `ssh-add`, or put the public one into `~/.ssh/authorized_keys` of the server; "
        "`ssh` shows whether it works",
    ),
    Known(
        r"Could not resolve hostname",
        "server-unreachable",
        "the name of {} does not resolve",
        "check the name, and the network",
    ),
    Known(
        r"cannot listen to port|Address already in use",
        "port-taken",
        "a port that the stack publishes is taken on this machine, so none leads from it to {}",
        "choose another with `stackctl up --port PORT`",
    ),
    Known(
        r"administratively prohibited|forwarding failed|Could not request local forwarding|Port forwarding is disabled",
        "ssh-forwarding",
        "{} does not let SSH pass connections on",
        "allow `AllowStreamLocalForwarding` and `AllowTcpForwarding` in the server's `sshd_config`",
    ),
    Known(
        r"Connection refused|Connection timed out|Operation timed out|No route to host|Network is unreachable"
        r"|Connection (?:closed|reset) by|kex_exchange_identification",
        "server-unreachable",
        "{} can't be reached by SSH",
        "check the address and the network; `ssh` shows whether it works",
    ),
)


def failed(server: Server, said: str) -> StackError:
    """Return the error that a failure of ssh stands for; its own last lines are the output."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    output = "\n".join(lines[-15:])
    if (found := first_known(_KNOWN, said)) is not None:
        known, _ = found
        return StackError(known.code, known.message.format(server), known.hint, output)
    return StackError("server-unreachable", f"`ssh` to {server} failed", "try it with `ssh`", output)


def missing() -> StackError:
    return StackError("ssh-client", "there is no `ssh` command on this machine", "install OpenSSH's client")


def without_docker(server: Server, said: str) -> StackError:
    return StackError(
        "server-without-docker",
        f"there is no `docker` command on {server} for that user",
        "install Docker Engine there: https://docs.docker.com/engine/install/",
        said.strip(),
    )


def cut(server: str) -> StackError:
    return StackError(
        "connection-lost",
        f"the connection to {server} was cut, and this command with it",
        "type it again: it finishes what was begun",
    )
