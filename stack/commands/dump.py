"""`stackctl dump`: write a database out as SQL, or as a custom archive of pg_dump, while it serves."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from stack.errors import StackError
from stack.files import is_full, writing
from stack.progress import Progress
from stack.report import Report, size
from stack.results.nothing import Nothing
from stack.results.stored import DumpResult
from stack.settings import Settings
from stack.snapshots.archive import RESERVE, explained, require_space
from stack.snapshots.streams import Kind, packing
from stack.workflow.access import DataAccess
from stack.workflow.finding import pick_database
from stack.workflow.keeping import as_made
from stack.workflow.opening import change

Write = Callable[[IO[bytes], bool, Progress], int]
"""Writes a dump to a target that packs it or not; gives the bytes."""


def dump(
    settings: Settings, progress: Progress, kind: Kind, file: Path | None, output: IO[bytes], name: str | None
) -> Report[DumpResult | Nothing]:
    """Write the database `name` (the only one) to a file, which is packed as its name says, or else to `output`."""
    with change(settings, progress, parameters=False) as found:
        opened = as_made(found)
        component, dumps = pick_database(opened.instance, name)
        if file is not None and file.exists():
            raise StackError("file-unusable", f"{file} is there already", "choose another name, or delete it first")
        if not opened.engine.volumes.has_data(component):
            hint = "`stackctl up` makes a database"
            raise StackError("nothing-to-save", f"{component} has no data to dump", hint)
        with DataAccess(opened.engine, component).session(dumps.serve(opened.engine.traits.target)) as session:
            write = partial(dumps.dump, session, kind)
            if file is None:
                _dump_out(write, output, progress)
                return Report("dump", "", Nothing())
            done = _dump_to(write, file, progress)
    taken = file.stat().st_size
    text = f"{dumps.title} is in {file} ({size(taken)})"
    return Report("dump", text, DumpResult(file, taken, done))


def _dump_out(write: Write, output: IO[bytes], progress: Progress) -> int:
    """Write to standard output; a reader that has gone, as in `stackctl dump | head`, is no error."""
    try:
        done = write(output, False, progress)
        output.flush()
    except BrokenPipeError:
        _discard(output)
        return 0
    except OSError as error:
        _discard(output)
        raise StackError(
            "disk-full" if is_full(error) else "file-unusable",
            f"standard output: {error.strerror or error}; what was written is not a whole dump",
            "make room, or name a FILE instead: it appears whole or not at all",
        ) from error
    return done


def _discard(output: IO[bytes]) -> None:
    """Let go of what is not written yet: Python would try that once more at its end."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), output.fileno())


def _dump_to(write: Write, file: Path, progress: Progress) -> int:
    """The file appears whole or not at all, and is its owner's alone."""
    require_space(file.parent, RESERVE)
    with explained(file), writing(file) as raw, ExitStack() as opened:
        return write(packing(file, raw, opened), file.suffix in (".gz", ".zst"), progress)
