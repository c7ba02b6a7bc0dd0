"""Read and write the files of a volume.

They pass as a tar through a container that mounts the volume and never runs. Its image is empty: the image of the
component may have neither a shell nor `tar`, and need not exist yet.
"""

from __future__ import annotations

import contextlib
import io
import posixpath
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import IO, cast

from stack.engines.docker import arguments
from stack.engines.docker.owners import ANY
from stack.engines.process import StartPipe
from stack.errors import StackError
from stack.frozen import dataclass
from stack.workload import VolumeId

_FOLDER_MODE, _OPEN_MODE = 0o750, 0o777
# More than the headers of the first entry of a tar.
_HEAD = 64 * 1024


@contextlib.contextmanager
def copied_in(
    start: StartPipe, container: str, folder: str, failed: Callable[[str], StackError]
) -> Iterator[IO[bytes]]:
    """Take a tar of what is copied into a folder of a container. Raises what `failed` makes of Docker's own words."""
    with start(arguments.copy_in(container, folder), feed=True) as pipe:
        try:
            yield pipe.input
        except BrokenPipeError as error:
            pipe.finish()
            raise failed(pipe.complaint) from error
        if pipe.finish():
            raise failed(pipe.complaint)


@dataclass(frozen=True)
class Mounted:
    """A container that has a volume at `target`."""

    container: str
    target: str
    volume: VolumeId
    start: StartPipe

    @contextlib.contextmanager
    def read(self) -> Iterator[IO[bytes]]:
        with self.start(arguments.copy_out(self.container, self.target), take=True) as pipe:
            yield pipe.output
            if pipe.finish():
                raise self._failed("save-failed", "read", pipe.complaint)

    @contextlib.contextmanager
    def write(self) -> Iterator[IO[bytes]]:
        with copied_in(self.start, self.container, self.target, self._not_written) as sink:
            watched = _Watched(sink)
            yield cast(IO[bytes], watched)
        if (root := watched.root()) is not None:
            self._place(root)

    def give(self, user: str) -> None:
        """Give the folder of the volume to a user, by its numbers, or to `any`."""
        root = tarfile.TarInfo()
        root.mode = _FOLDER_MODE
        if user == ANY:
            root.mode = _OPEN_MODE
        else:
            root.uid, root.gid = map(int, user.split(":"))
        self._place(root)

    def _place(self, root: tarfile.TarInfo) -> None:
        """Give the folder of the volume itself the owner and the mode of an entry of a tar.

        Docker skips an entry for the folder that it copies into, so it is copied into the one above.
        """
        parent, name = posixpath.split(self.target)
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, root.mode, root.uid, root.gid
        folder.mtime = int(time.time())
        with (
            copied_in(self.start, self.container, parent, self._not_written) as sink,
            tarfile.open(fileobj=sink, mode="w|") as tar,
        ):
            tar.addfile(folder)

    def _not_written(self, output: str) -> StackError:
        return self._failed("restore-failed", "written", output)

    def _failed(self, code: str, what: str, output: str) -> StackError:
        component = self.volume.component
        problem = f"the volume {self.volume} can't be {what}"
        return StackError(code, problem, f"see `stackctl doctor`, and {component}", output)


class _Watched:
    """Hands a tar on, and keeps its beginning: its first entry is the folder that all others are in."""

    def __init__(self, sink: IO[bytes]) -> None:
        self._sink = sink
        self._head = b""

    def write(self, chunk: bytes) -> int:
        self._head += chunk[: max(0, _HEAD - len(self._head))]
        return self._sink.write(chunk)

    def root(self) -> tarfile.TarInfo | None:
        """Return the entry of the folder itself; None for a tar that has none."""
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(self._head)) as tar:
            first = tar.next()
            if first is not None and first.isdir() and posixpath.normpath(first.name) == ".":
                return first
        return None
