"""Copy a volume of an instance into that of another, in a container of its own that has both.

It is made of the image of a component that has the volume, so that nothing has to be pulled; the programs of an image
without a shell or `cp` can't do it, and then the files pass through this process as a tar.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import IO

from stack.capabilities import Completed
from stack.copying import FileCopy
from stack.engines import process
from stack.engines.docker import arguments, client, failures, resolving
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.frozen import dataclass
from stack.instance import Instance
from stack.workload import VolumeId

# It says that it runs, and ends with its standard input, however this process ends.
_WAIT = "type cp > /dev/null || exit 127; echo; exec cat > /dev/null"
# How `cp` clones where it can: it is tried on a file that is there.
_FACTS = """\
file=$(find /from -type f -size +0 2> /dev/null | head -n 1)
how=copies
if [ -n "$file" ] && cp --reflink=always "$file" /to/.stackctl-trial 2> /dev/null; then how=clones; fi
rm -f /to/.stackctl-trial
set -- $(df -Pk /to | tail -n 1)
echo "$how $4"
"""
# The whole, and what of it is left out.
_SIZE = """\
cd /from
set -- $(du -sk . 2> /dev/null) 0 "$@"
whole=$1 left=0
shift 3
for each in "$@"; do [ ! -d "$each" ] || left=$((left + $(du -sk "$each" | cut -f 1))); done
echo "$whole $left"
"""
# All but what is left out; of that, each folder is made with its owner and mode, empty.
_COPY = """\
own() { chown "$(stat -c %u:%g "$1")" "$2" && chmod "$(stat -c %a "$1")" "$2"; }
how=$1 from=/from/$2 to=/to/$2 out=" $3 " failed=0
cd "$from" || exit 1
mkdir -p "$to"
for each in * .[!.]* ..?*; do
    [ -e "$each" ] || [ -L "$each" ] || continue
    case $out in
    *" $each "*)
        [ -d "$each" ] || continue
        mkdir "$to/$each" && own "$each" "$to/$each" ;;
    *) cp -a $how -- "$each" "$to/" ;;
    esac || failed=1
done
own . "$to" || failed=1
exit $failed
"""
_COPY_FILES = """\
how=$1 from=/from/$2 to=/to/$2
shift 2
cd "$from" && cp -a $how -- "$@" "$to/"
"""
_WRITE = 'cat > "/to/$1" && chown "$(stat -c %u:%g "/to/$(dirname "$1")")" "/to/$1" && chmod 600 "/to/$1"'
_VANISHED = "No such file or directory"
_WITHOUT_PROGRAMS = (126, 127)


@dataclass(frozen=True)
class Place:
    """The daemon that has both volumes: that of a server, or that which some options of the client lead to.

    `pull`: whether it pulls the image, as the client takes it.
    """

    host: str | None = None
    options: tuple[str, ...] = ()
    pull: str = "never"

    def start(self, words: Sequence[str], *, feed: bool = False, take: bool = False) -> Pipe:
        return Pipe(self._command(words), client.environment(self.host), feed=feed, take=take)

    def run(self, words: Sequence[str], timeout: float | None) -> Completed:
        return process.run(self._command(words), client.environment(self.host), timeout)

    def _command(self, words: Sequence[str]) -> list[str]:
        return client.command([*self.options, *words])


@dataclass(frozen=True)
class Volumes:
    """Docker's names of two volumes: `volume` of one instance, which is only read, and the same of another."""

    volume: VolumeId
    source: str
    target: str


Open = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens a stream of all files of a volume, as a tar."""


@contextlib.contextmanager
def copying(
    place: Place, volumes: Volumes, image: str, name: str, labels: Mapping[str, str], read: Open, write: Open
) -> Iterator[FileCopy]:
    """Open the copy of a volume; see `stack.engines.base.Volumes`.

    `name` and `labels` are those of the container. `read` the one volume and `write` the other if it can't copy.
    """
    command = arguments.run_copy(name, image, volumes.source, volumes.target, labels, _WAIT, place.pull)
    with place.start(command, feed=True, take=True) as waiting:
        try:
            if waiting.output.readline():
                yield _InContainer(name, volumes.volume, place)
                return
        finally:
            place.run(arguments.remove_containers([name]), READ_TIMEOUT)
        if waiting.finish(READ_TIMEOUT) not in _WITHOUT_PROGRAMS:
            raise client.failed("run", waiting.complaint, place.host)
    yield _ThroughHere(volumes.volume, read, write)


def image_with(instance: Instance, volume: VolumeId, images: Mapping[str, str]) -> str:
    """Choose of the images of an instance that of the owner of a volume, else of one that has it."""
    if volume.component in images:
        return images[volume.component]
    having = ((name, each.id) for name in images for each in resolving.workload_of(instance, name).volumes)
    return images[next(name for name, found in having if found == volume)]


@dataclass(frozen=True)
class _InContainer:
    """See `stack.copying.FileCopy`. `container` has the volume that is copied at /from, and the new one at /to."""

    container: str
    volume: VolumeId
    place: Place

    @cached_property
    def _facts(self) -> tuple[str, int]:
        how, free = self._run(_FACTS).split()
        return how, int(free) * 1024

    @property
    def clones(self) -> bool:
        return self._facts[0] == "clones"

    @property
    def free(self) -> int | None:
        return self._facts[1]

    def size(self, leave_out: Collection[str] = ()) -> int:
        whole, left_out = map(int, self._run(_SIZE, *leave_out).split())
        return (whole - left_out) * 1024

    def copy(self, folder: str = "", leave_out: Collection[str] = ()) -> None:
        self._run(_COPY, self._how, folder, " ".join(leave_out))

    def copy_files(self, folder: str, names: Sequence[str]) -> None:
        if names:
            self._run(_COPY_FILES, self._how, folder, *names)

    def read(self, path: str) -> str | None:
        answer = self.place.run(self._words('cat -- "/from/$1"', path), READ_TIMEOUT)
        return answer.stdout if answer.ok else None

    def write(self, path: str, text: str) -> None:
        with self.place.start(self._words(_WRITE, path), feed=True) as writing:
            with contextlib.suppress(BrokenPipeError):
                writing.input.write(text.encode())
            if writing.finish(READ_TIMEOUT):
                raise self._failed(writing.complaint)

    @property
    def _how(self) -> str:
        return "--reflink=auto" if self.clones else ""

    def _run(self, script: str, *words: str) -> str:
        answer = self.place.run(self._words(script, *words), None)
        complaints = [line for line in answer.stderr.splitlines() if line.strip()]
        if not answer.ok and not (complaints and all(line.endswith(_VANISHED) for line in complaints)):
            raise self._failed(answer.stderr)
        return answer.stdout

    def _words(self, script: str, *words: str) -> list[str]:
        return arguments.execute(self.container, ["env", "LC_ALL=C", "sh", "-c", script, "sh", *words])

    def _failed(self, output: str) -> StackError:
        client.check_connection(self.place.host)
        return failed(self.volume, output)


@dataclass(frozen=True)
class _ThroughHere:
    """See `stack.copying.FileCopy`: of the files of an image without programs, which nothing but a whole copy is of."""

    volume: VolumeId
    source: Open
    target: Open
    clones: bool = False
    free: None = None

    def size(self, leave_out: Collection[str] = ()) -> int:
        return 0

    def copy(self, folder: str = "", leave_out: Collection[str] = ()) -> None:
        if folder or leave_out:
            raise self._unable()
        with self.source() as reading, self.target() as writing:
            shutil.copyfileobj(reading, writing)

    def copy_files(self, folder: str, names: Sequence[str]) -> None:
        raise self._unable()

    def read(self, path: str) -> str | None:
        raise self._unable()

    def write(self, path: str, text: str) -> None:
        raise self._unable()

    def _unable(self) -> StackError:
        return failed(self.volume, "its image has neither a shell nor `cp`")


def failed(volume: VolumeId, output: str) -> StackError:
    """Return the error of a volume that can't be copied, by what was said."""
    hint = "see what it names, and run this again"
    return failures.classify(output, "branch-failed", f"the volume {volume} can't be copied", hint)
