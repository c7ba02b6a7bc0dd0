"""Find where the processes of a container listen: read from the kernel, or in the container if it is elsewhere."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from stack.capabilities import Session
from stack.engines.docker.pids import PROC, is_of
from stack.engines.docker.resolving import port_number, workload_of
from stack.instance import Instance
from stack.observed import Listening
from stack.references import Reference

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"
# Docker's own name server in each container.
_RESOLVER = "127.0.0.11"


def of_container(process: int, container: str, proc: Path = PROC) -> frozenset[tuple[str, int]] | None:
    """Return the addresses and ports in the network of a container; `process` is the pid of its first process.

    None if they can't be known: the daemon is on another machine, and the pid is that of an unrelated process here.
    """
    if not is_of(process, container, proc):
        return None
    try:
        tables = [(proc / str(process) / "net" / name).read_text(encoding="ascii") for name in ("tcp", "tcp6")]
    except OSError:
        return None
    return of_tables("".join(tables))


def of_component(instance: Instance, component: str, found: frozenset[tuple[str, int]] | None) -> Listening | None:
    """Return where a component listens, beside where it should; None if that is not known."""
    if found is None:
        return None
    asked = workload_of(instance, component).asked
    return Listening(found, port_number(instance, Reference(component, "port", asked)), inside=True)


def of_session(session: Session) -> frozenset[tuple[str, int]] | None:
    """Return the addresses and ports in the network of a container that is asked itself; None if it does not answer."""
    answer = session.run(["cat", *_TABLES])
    return of_tables(answer.stdout) if answer.ok else None


def of_tables(text: str) -> frozenset[tuple[str, int]]:
    """Return the addresses and ports in the tables of the kernel for a network."""
    return frozenset((address, port) for address, port in _listeners(text) if address != _RESOLVER)


def _listeners(table: str) -> list[tuple[str, int]]:
    """Parse `/proc/net/tcp`: `  0: 0100007F:1F90 00000000:0000 0A …`, each word of an address in host byte order."""
    rows = [line.split() for line in table.splitlines()]
    return [(_address(row[1][:-5]), int(row[1][-4:], 16)) for row in rows if len(row) > 3 and row[3] == _LISTEN]


def _address(text: str) -> str:
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
