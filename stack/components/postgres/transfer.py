"""What saving and loading share: SQL that is run in a server, and bytes that flow from or to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import IO, Protocol

from stack.components.postgres.content import neutral
from stack.components.postgres.server import Server, conninfo
from stack.errors import StackError
from stack.progress import Progress
from stack.report import size
from stack.snapshots.archive import CHUNK

# For a server whose data are new and thrown away if it ends early: tables created and filled in one transaction need no
# log, and no page needs a copy in it. A comparison marks each row as committed, which would copy all of them.
LOADING = ("-c", "wal_level=minimal", "-c", "max_wal_senders=0", "-c", "full_page_writes=off")
_TOLD_EVERY = 1.0


class Target(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> object: ...


def run_sql(server: Server, major: int, database: str, lines: Iterable[bytes]) -> str | None:
    """Run SQL as the administrator. Give what it complains of, None where all of it was done."""
    words = ["psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", conninfo(database, server.admin, neutral(major))]
    with server.pipe(words, feed=True) as psql:
        with suppress(BrokenPipeError):  # what it says tells why
            for line in lines:
                psql.input.write(line)
        return (psql.complaint or "it failed") if psql.finish() else None


def broke(code: str, server: Server, problem: str, said: str) -> StackError:
    name = server.database.name
    return StackError(code, f"{name}: {problem}", f"mend what it names, and see `stackctl logs {name}`", said)


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


class Counted:
    """Chunks that are counted as they go by, and told of once a second. `bytes`: how many it were."""

    def __init__(self, source: Iterable[bytes], server: Server, doing: str, progress: Progress) -> None:
        self._source = source
        self._component = server.database.name
        self._doing = doing
        self._progress = progress
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        told = time.monotonic()
        for chunk in self._source:
            yield chunk
            self.bytes += len(chunk)
            if time.monotonic() - told >= _TOLD_EVERY:
                told = time.monotonic()
                self._progress.states({self._component: f"{self._doing}: {size(self.bytes)}"})


def stream(source: Iterable[bytes], target: Target, server: Server, doing: str, progress: Progress) -> int:
    """Write all of it, and tell of it. How many bytes it was."""
    counted = Counted(source, server, doing, progress)
    for chunk in counted:
        target.write(chunk)
    return counted.bytes
