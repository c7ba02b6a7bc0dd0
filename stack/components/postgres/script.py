"""Run a file of SQL in a server: a file is data, whose statements the server runs, and nothing else runs.

psql is what can speak to a server everywhere, and it takes commands of its own that run programs and read files. So
each statement is handed to it as a text in a quotation whose end no file can know (`SELECT $…$ \\gexec`), on the line
that it has in the file. The data of a COPY follows as it is: there psql looks for the end of the data alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from stack.components.postgres.psql import Psql
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.statements import Piece, Refused, pieces
from stack.frozen import dataclass

WHY_EACH = "each statement is committed by itself, as the first line says"
# What lexical rules the file is read by. The number of the transaction is kept in psql, which no file reaches.
_BEGIN = """\
SET standard_conforming_strings = on; BEGIN; {opening}\
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text AS begun \\gset \\\\ """
_END = """
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text OPERATOR(pg_catalog.=) :'begun' AS whole \\gset
\\if :whole
{closing}COMMIT;
{done}
\\else
ROLLBACK;
{torn}
\\endif
"""
_EACH_BEGIN = "SET standard_conforming_strings = on; {opening}"
_EACH_END = """
{closing}{done}
"""


@dataclass(frozen=True)
class Failure:
    """Why a file was not run, or not all of it, and whether nothing of it is kept."""

    text: str
    nothing_kept: bool = True


def run_whole(server: Server, source: Iterable[bytes], closing: str = "", opening: str = "") -> Failure | None:
    """Run `opening`, a file and then `closing` in one transaction on the declared database, as the declared user.

    `opening` is one line, so that the lines of the file keep their numbers.

    Gives None if all of it was committed.
    """
    return _run(server, pieces(source), _BEGIN.format(opening=opening), _END, closing)


def run_each(server: Server, source: Iterable[bytes], closing: str = "", opening: str = "") -> Failure | None:
    """Do the same with each statement committed by itself, for what PostgreSQL refuses in a transaction.

    What is refused is refused before anything ran.
    """
    try:
        read = list(pieces(source, WHY_EACH))
    except Refused as refused:
        return Failure(str(refused))
    failure = _run(server, iter(read), _EACH_BEGIN.format(opening=opening), _EACH_END, closing)
    return failure and replace(failure, nothing_kept=False)


def run_as_admin(asked: Psql, source: Iterable[bytes]) -> Failure | None:
    """Run a file in one transaction, as the administrator."""
    torn = "DO $$ BEGIN RAISE 'it ends its transaction by itself'; END $$;"
    begin, end = _BEGIN.format(opening=""), _END.format(closing="", done="", torn=torn)
    lines = chain([begin.encode()], wrapped(pieces(source)), [end.encode()])
    try:
        complaint = asked.run_lines(lines)
    except Refused as refused:
        return Failure(str(refused))
    return Failure(complaint) if complaint else None


def _run(server: Server, source: Iterator[Piece], begin: str, end: str, closing: str) -> Failure | None:
    done, torn = secrets.token_hex(16), secrets.token_hex(16)
    words = ["psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-"]
    where = conninfo(server.database.database, server.database.user)
    with server.pipe([*words, "-d", where], feed=True, take=True) as psql:
        try:
            with suppress(BrokenPipeError):  # its stderr tells why
                psql.input.write(begin.encode())
                for chunk in wrapped(source):
                    psql.input.write(chunk)
                told = end.format(closing=closing, done=f"\\echo {done}", torn=f"\\echo {torn}")
                psql.input.write(told.encode())
        except Refused as refused:
            return Failure(str(refused))
        failed = psql.finish() != 0
        answer = psql.output.read().decode(errors="replace")
        if not failed and done in answer:
            return None
        if torn in answer:
            return Failure("it ends its transaction by itself: leave COMMIT and the like out", nothing_kept=False)
        return Failure(psql.complaint or "it ends in the middle of a statement")


def wrapped(source: Iterator[Piece]) -> Iterator[bytes]:
    """Write what psql reads: a line for each line of the file."""
    quote = f"$s{secrets.token_hex(16)}$".encode()
    for piece in source:
        match piece.kind:
            case "begin":
                yield b"SELECT " + quote
            case "end":
                yield quote + b" \\gexec \\\\ "
            case _:
                yield piece.text
