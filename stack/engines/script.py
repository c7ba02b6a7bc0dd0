"""Run a file of SQL in a server: all of it, in one transaction, or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress

from stack.engines.server import Server, conninfo


def run_whole(server: Server, source: Iterable[bytes], closing: str = "") -> str | None:
    """Run SQL and then `closing` in one transaction on the declared database. What is wrong with it, None where all
    of it was committed.

    An end of the input ends psql, and psql would commit by that; so it is told to, once all of it was there. And it
    has to answer after that: in a text that was cut off in the middle of a word the rest is part of the text.
    """
    database, done = server.database, secrets.token_hex(16)
    words = ["psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-"]
    with server.pipe([*words, "-d", conninfo(database.database, database.user)], feed=True, take=True) as psql:
        with suppress(BrokenPipeError):  # what it says tells why
            psql.input.write(b"BEGIN; SAVEPOINT whole; ")
            for chunk in source:
                psql.input.write(chunk)
            # It fails where the text itself has ended the transaction.
            psql.input.write(f"\n;\nRELEASE SAVEPOINT whole;\n{closing}COMMIT;\n\\echo {done}\n".encode())
        failed = psql.finish() != 0
        if not failed and done.encode() in psql.output.read():
            return None
        if "RELEASE SAVEPOINT" in psql.complaint:
            return f"it ends its transaction by itself: leave BEGIN, COMMIT and the like out\n{psql.complaint}"
        return psql.complaint or "it ends in the middle of a statement"
