"""A psql that goes from one database to the next, and is told and asked one thing after the other."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from stack.capabilities import Pipe
from stack.components.postgres.properties import identifier
from stack.components.postgres.server import Server, conninfo
from stack.errors import StackError

_WORDS = ("psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d")


class Psql:
    """Connected as the administrator, or as `role`.

    It ends at the first error, and another takes its place when one is needed.
    """

    def __init__(
        self, server: Server, opened: ExitStack, database: str, settings: Mapping[str, str], role: str | None = None
    ) -> None:
        self.server = server
        self._role = role
        self._opened = opened
        self._pipe: Pipe | None = None
        self.connect(database, settings)

    def connect(self, database: str, settings: Mapping[str, str]) -> None:
        """Go to a database. Nothing that was set or begun before remains; the next call tells if it did not work."""
        self.database = database
        self._where = conninfo(database, self._role or self.server.admin, settings)
        if self._pipe is not None:
            with suppress(BrokenPipeError):
                self._tell(f"\\connect -reuse-previous=off {_argument(self._where)}\n")

    def ask(self, question: str) -> str:
        """The one line that answers a statement. Raises `query-failed`."""
        line = b""
        with suppress(BrokenPipeError):
            self._tell(question)
            line = self._running().output.readline()
        if not line:
            raise self._unreadable()
        return line.decode("utf-8").rstrip("\n")

    def lines(self, question: str) -> Iterator[bytes]:
        """Yield the lines that answer statements, as they come; take all of them. Raises `query-failed`."""
        end = secrets.token_hex(16)
        with suppress(BrokenPipeError):
            self._tell(f"{question}\nSELECT '{end}';\n")
        for line in self._running().output:
            if line == f"{end}\n".encode():
                return
            yield line.removesuffix(b"\n")
        raise self._unreadable()

    def run(self, statements: str) -> str | None:
        """Run statements and drop their answers. Give what it complains of, None where all of it was done."""
        return self.run_lines([statements.encode()])

    def run_lines(self, lines: Iterable[bytes]) -> str | None:
        """Run statements as they come, like `run`. If reading them raises, what they began is undone."""
        done = secrets.token_hex(16)
        try:
            with suppress(BrokenPipeError):
                self._tell("\\o /dev/null\n")
                for line in lines:
                    self._running().input.write(line)
                self._tell(f"\n;\n\\o\nSELECT '{done}';\n")
                if self._running().output.readline().decode() == f"{done}\n":
                    return None
        except BaseException:
            self.abandon()
            self._pipe = None
            raise
        return self._complaint() or "it failed"

    def abandon(self) -> None:
        """End it now, even if another thread waits for an answer."""
        if self._pipe is not None:
            self._pipe.end()

    def _tell(self, text: str) -> None:
        pipe = self._running()
        pipe.input.write(text.encode())
        pipe.input.flush()

    def _running(self) -> Pipe:
        if self._pipe is None:
            started = self.server.pipe([*_WORDS, self._where], feed=True, take=True)
            self._pipe = self._opened.enter_context(started)
        return self._pipe

    def _unreadable(self) -> StackError:
        name = self.server.database.name
        return StackError(
            "query-failed",
            f"{name}: the database {self.database} can't be read: {self._complaint().strip()}",
            f"look at `stackctl logs {name}`",
        )

    def _complaint(self) -> str:
        """What it said before it ended."""
        pipe, self._pipe = self._running(), None
        pipe.finish()
        return pipe.complaint


@contextmanager
def psql(server: Server, database: str, settings: Mapping[str, str], role: str | None = None) -> Iterator[Psql]:
    """A psql until the end of the block, at first in that database and with these settings of the connection."""
    with ExitStack() as opened:
        yield Psql(server, opened, database, settings, role)


def _argument(text: str) -> str:
    """Write an argument of `\\connect`, which is read to the end of the line, and then once more as a name of SQL."""
    name = identifier(text)
    for plain, escaped in (("\\", "\\\\"), ("'", "''"), ("\n", "\\n"), ("\r", "\\r")):
        name = name.replace(plain, escaped)
    return f"'{name}'"
