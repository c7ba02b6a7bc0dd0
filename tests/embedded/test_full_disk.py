"""A disk that fills up while a branch is made: the parent serves on, and of the branch there is all or nothing.

The disk is a file system in a file, seen by one mount namespace alone: there it has the homes of all instances, and
their state.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.engines.embedded.layout import ROOT_HOMES
from tests.cli import LIMIT, Cli, Result, eventually
from tests.conformance.test_branching import visited
from tests.servers import MISSING

pytestmark = [pytest.mark.long, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]

_SIZE = 1200 * 2**20
# Some 150 MB, so that a copy takes longer than to notice that it has begun.
_LARGE = """\
\\c student_notes
CREATE TABLE large AS SELECT n, (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 30) AS m) AS text
    FROM generate_series(1, 130000) AS n;
ALTER TABLE large OWNER TO student;
CHECKPOINT;
"""
_MOUNT = """\
mount -o loop "$1" "$2"
chmod 755 "$2"
mkdir -m 711 "$2/homes"
mount --bind "$2/homes" "$3"
echo
exec cat
"""


@dataclass(frozen=True)
class Disk:
    """`folder` is where its namespace has it, and `seen` where this process sees it; `enter` runs a command there."""

    folder: Path
    seen: Path
    enter: tuple[str, ...]

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.seen).free

    @contextlib.contextmanager
    def filled(self, left: int) -> Iterator[None]:
        """Leave no more than these bytes free for the block, or as few as there can be."""
        filler = self.seen / "filler"
        try:
            with open(filler, "wb") as file, contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, self.free - left)
            yield
        finally:
            filler.unlink()


@dataclass
class OnDisk(Cli):
    """A command line whose instance is on a disk."""

    disk: Disk | None = None

    def arguments(self, *words: str) -> list[str]:
        assert self.disk
        return [*self.disk.enter, *super().arguments(*words)]

    def run(self, *words: str, stdin: str | None = None) -> Result:
        command = self.arguments(*words)
        ended = subprocess.run(
            command, input=stdin or "", capture_output=True, text=True, timeout=LIMIT, check=False,
            cwd=self.folder, env=self.whole_environment,
        )  # fmt: skip
        return Result(command, ended.returncode, ended.stdout, ended.stderr)

    @property
    def state(self) -> Path:
        assert self.disk
        return self.disk.seen / "state" / self.instance

    @property
    def stores(self) -> list[Path]:
        """The folders with the data of its database."""
        assert self.disk
        return sorted((self.disk.seen / "homes").glob(f"*{self.instance}*/data/db*"))

    def is_copying(self) -> bool:
        """Whether a part of the large table is in its newest data."""
        with contextlib.suppress(OSError):
            return any(path.stat().st_size > 2**20 for path in self.stores[-1:] for path in path.glob("base/*/*"))
        return False

    def is_settling(self) -> bool:
        """Whether a server has begun with its data."""
        return any((path / "postmaster.pid").exists() for path in self.stores[-1:])


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    missing = [name for name in ("mkfs.ext4", "losetup", "unshare", "nsenter") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"only root can mount a small disk{', and there is no ' if missing else ''}{', '.join(missing)}")
    place = tmp_path_factory.mktemp("disk")
    image, folder = place / "image", place / "folder"
    folder.mkdir()
    image.touch()
    os.truncate(image, _SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
    ROOT_HOMES.mkdir(mode=0o711, parents=True, exist_ok=True)
    words = ("sh", "-ec", _MOUNT, "sh", str(image), str(folder), str(ROOT_HOMES))
    command = ["unshare", "--mount", "--propagation", "private", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as namespace:
        assert namespace.stdin
        assert namespace.stdout
        if not namespace.stdout.readline():
            pytest.skip("this machine mounts no file system in a file")
        enter = ("nsenter", f"--target={namespace.pid}", "--mount")
        yield Disk(folder, Path(f"/proc/{namespace.pid}/root{folder}"), enter)
        namespace.stdin.close()
    # It is in use for as long as any process is in the namespace.
    eventually(lambda: not subprocess.run(["losetup", "-j", image], capture_output=True, check=True).stdout)


@pytest.fixture(scope="module")
def new_cli(disk: Disk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], OnDisk]]:
    """Give a name to an instance on the disk, of which nothing is left in the end."""
    folder, made = tmp_path_factory.mktemp("project"), list[OnDisk]()

    def make() -> OnDisk:
        environment = {"STACKCTL_STATE": str(disk.folder / "state")}
        name = f"t-{uuid.uuid4().hex[:8]}"
        made.append(OnDisk(folder, name, engine="embedded", environment=environment, disk=disk))
        return made[-1]

    yield make
    ended = [cli.reset() for cli in made]
    assert [result for result in ended if result.exit_code] == []


@pytest.fixture(scope="module")
def parent(new_cli: Callable[[], OnDisk]) -> OnDisk:
    cli = new_cli()
    cli.up()
    cli.ok("shell", "db", "--write", "--admin", stdin=_LARGE)
    return cli


@contextlib.contextmanager
def stopped(parent: OnDisk, words: Sequence[str], reached: Callable[[], bool]) -> Iterator[subprocess.Popen[str]]:
    """Begin a command, and stop it in the middle as soon as something is so, for the block, which lets it go on."""
    with parent.start(*words) as running:
        try:
            eventually(lambda: reached() or running.poll() is not None, every=0.001)
            os.killpg(running.pid, signal.SIGSTOP)
            assert running.poll() is None, f"it ended before it could be stopped: {running.communicate()}"
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGCONT)


def failing(running: subprocess.Popen[str]) -> str:
    """Let a command that was stopped go on, and return what it said before it failed."""
    os.killpg(running.pid, signal.SIGCONT)
    _, said = running.communicate(timeout=LIMIT)
    assert running.returncode == 1, said
    return said


def rows(cli: Cli) -> object:
    return cli.data("inspect", "db", "--query", "SELECT count(*), sum(hashtext(text)) FROM large")["rows"]


def test_nothing_is_begun_without_room_for_a_copy(parent: OnDisk, new_cli: Callable[[], OnDisk], disk: Disk) -> None:
    branch, free = new_cli(), disk.free
    with visited(parent) as visits, disk.filled(300 * 2**20):
        error = parent.fails("branch", branch.instance, code="disk-full")
    assert "nothing was changed" in error["message"]
    assert visits.failed == 0
    assert not branch.state.exists()
    assert branch.stores == []
    assert disk.free > free - 2**20


@pytest.mark.parametrize(
    ("left", "moment", "said"),
    [
        (100 * 2**20, OnDisk.is_copying, "less than 134 MB is left there"),
        (0, OnDisk.is_copying, "No space left on device|less than 134 MB"),
        (0, OnDisk.is_settling, "no space left on the disk of its data"),
    ],
    ids=["nearly-while-it-is-copied", "while-it-is-copied", "when-its-server-begins"],
)
def test_of_a_branch_whose_disk_fills_up_nothing_is_left(
    parent: OnDisk,
    new_cli: Callable[[], OnDisk],
    disk: Disk,
    left: int,
    moment: Callable[[OnDisk], bool],
    said: str,
) -> None:
    branch, free, content = new_cli(), disk.free, rows(parent)
    words = ["branch", branch.instance]
    with visited(parent) as visits, stopped(parent, words, lambda: moment(branch)) as running, disk.filled(left):
        told = failing(running)
    (error,) = [line for line in told.splitlines() if line.startswith("Error")]
    assert error.startswith("Error (disk-full): ")
    assert any(each in error for each in said.split("|")), told
    assert "make room there, and run this again" in told
    assert visits.counted > 0
    assert visits.failed == 0, "the parent served on"
    assert not branch.state.exists()
    assert branch.stores == []
    assert disk.free > free - 64 * 2**20, "but for the log of the parent"
    parent.ok("branch", branch.instance)
    assert rows(branch) == rows(parent) == content
    parent.ok("branch", "delete", branch.instance, "--yes", "--no-snapshot")


def test_a_branch_whose_disk_fills_up_in_its_reset_stays_as_it_was(
    parent: OnDisk, new_cli: Callable[[], OnDisk], disk: Disk
) -> None:
    branch = new_cli()
    words = ["branch", "reset", branch.instance, "--yes", "--no-snapshot"]
    parent.ok("branch", branch.instance)
    branch.ok("shell", "db", "--write", "--admin", stdin="\\c student_notes\nDELETE FROM large WHERE n > 7;")
    content, stores = rows(branch), branch.stores

    def is_copying() -> bool:
        return len(branch.stores) > 1 and branch.is_copying()

    with stopped(parent, words, is_copying) as running, disk.filled(100 * 2**20):
        assert "Error (disk-full): " in failing(running)
    assert branch.stores == stores
    assert rows(branch) == content
    assert branch.pending() == []
    parent.ok(*words)
    assert rows(branch) == rows(parent)
    parent.ok("branch", "delete", branch.instance, "--yes", "--no-snapshot")
