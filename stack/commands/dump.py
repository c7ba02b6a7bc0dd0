"""`stackctl dump`: write a database out as SQL, or as a custom archive of pg_dump, while it serves."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from stack.commands.inspect import pick
from stack.components.postgres import Postgres
from stack.components.postgres.server import Server, conninfo
from stack.errors import StackError
from stack.progress import Progress
from stack.report import Report, size
from stack.settings import Settings
from stack.snapshots.archive import RESERVE, explained, require_space
from stack.snapshots.streams import Kind, packing
from stack.snapshots.transfer import chunks, stream
from stack.workflow.keeping import as_made, serving
from stack.workflow.opening import change

_FORMATS = {"sql": "plain", "custom": "custom"}


def dump(
    settings: Settings, progress: Progress, kind: Kind, file: Path | None, output: IO[bytes], name: str | None
) -> Report:
    """Write the database `name` (the only one) to a file, which is packed as its name says, or else to `output`."""
    with change(settings, progress) as found:
        opened = as_made(found)
        database = pick(opened.instance, Postgres, name)
        if file is not None and file.exists():
            raise StackError("file-unusable", f"{file} is there already", "choose another name, or delete it first")
        if not opened.engine.has_data(database.name):
            hint = "`stackctl up` makes a database"
            raise StackError("nothing-to-save", f"{database.name} has no data to dump", hint)
        with serving(opened, database) as server:
            if file is None:
                return Report("dump", "", {"bytes": _dump_out(server, kind, output, progress)})
            done = _dump_to(server, kind, file, progress)
    taken = file.stat().st_size
    text = f"{database.database} is in {file} ({size(taken)})"
    return Report("dump", text, {"path": str(file), "bytes": taken, "plain_bytes": done})


def _dump_out(server: Server, kind: Kind, output: IO[bytes], progress: Progress) -> int:
    """Write to standard output; a reader that has gone, as in `stackctl dump | head`, is no error."""
    try:
        done = _dump(server, kind, output, False, progress)
        output.flush()
    except BrokenPipeError:
        _discard(output)
        return 0
    except OSError as error:
        _discard(output)
        raise StackError(
            "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "file-unusable",
            f"standard output: {error.strerror or error}; what was written is not a whole dump",
            "make room, or name a FILE instead: it appears whole or not at all",
        ) from error
    return done


def _discard(output: IO[bytes]) -> None:
    """Let go of what is not written yet: Python would try that once more at its end."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), output.fileno())


def _dump_to(server: Server, kind: Kind, file: Path, progress: Progress) -> int:
    """The file appears whole or not at all, and is its owner's alone."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    require_space(file.parent, RESERVE)
    with explained(file):
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
                with ExitStack() as opened:
                    done = _dump(server, kind, packing(file, raw, opened), file.suffix in (".gz", ".zst"), progress)
                raw.flush()
                os.fsync(raw.fileno())
            partial.rename(file)
        finally:
            partial.unlink(missing_ok=True)
    return done


def _dump(server: Server, kind: Kind, target: IO[bytes], packed: bool, progress: Progress) -> int:
    database = server.database
    plain = ["--compress=0"] if packed else []
    words = ["pg_dump", f"--format={_FORMATS[kind]}", *plain, "--no-password"]
    with server.pipe([*words, "-d", conninfo(database.database, server.admin)], take=True) as pg_dump:
        done = stream(chunks(pg_dump.output), target, server, "dumping", progress)
        if pg_dump.finish():
            raise StackError(
                "save-failed",
                f"{database.name}: {database.database} could not be dumped",
                f"mend what it names, and see `stackctl logs {database.name}`",
                pg_dump.complaint,
            )
    return done
