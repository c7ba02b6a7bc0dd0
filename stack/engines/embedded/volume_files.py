"""Read and write the files of a volume as a tar stream, with the rights of the servers' user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stack.engines.embedded.namespace import command_as
from stack.engines.embedded.user import RunAs
from stack.engines.process import Pipe
from stack.errors import StackError

_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


@contextlib.contextmanager
def reading(folder: Path, run_as: RunAs | None) -> Iterator[IO[bytes]]:
    """Yield a tar of the files in a folder. Raises `save-failed`."""
    command = command_as(["tar", "-C", str(folder), "-cf", "-", "."], folder.parent, run_as)
    with Pipe(command, _ENVIRONMENT, take=True) as tar:
        yield tar.output
        if tar.finish():
            raise StackError("save-failed", f"{folder} can't be read", "see what is in it", tar.complaint)


@contextlib.contextmanager
def writing(folder: Path, run_as: RunAs | None) -> Iterator[IO[bytes]]:
    """Unpack the tar that is written into the stream, in a folder that exists. Raises `restore-failed`."""
    command = command_as(["tar", "-C", str(folder), "-xpf", "-"], folder.parent, run_as)
    with Pipe(command, _ENVIRONMENT, feed=True) as tar:
        with contextlib.suppress(BrokenPipeError):  # its stderr tells why
            yield tar.input
        if tar.finish():
            raise StackError("restore-failed", f"{folder} can't be written", "see its disk", tar.complaint)
