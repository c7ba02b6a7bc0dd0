"""Two commands that change one instance at once: the data afterwards is that of one order of the two."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.engines.docker.labels import LABEL_INSTANCE
from stack.engines.embedded.layout import ROOT_HOMES, home_at
from stack.instance import default_project
from tests.cli import Cli, eventually
from tests.conformance.engines import on_docker_at_length, on_one_engine
from tests.conformance.test_upgrade import NEW, Own


@on_docker_at_length
@pytest.mark.long
def test_an_up_queued_behind_a_restore_keeps_its_data(kept: Cli) -> None:
    saved = kept.visit()
    kept.ok("snapshot", "save", "queued")
    kept.visit()
    restore = kept.start("snapshot", "restore", "queued", "--yes")
    read_until(restore, "db: ")
    up = kept.start("up")
    read_until(up, "waiting for")
    for command in (restore, up):
        _, stderr = command.communicate(timeout=120)
        assert command.returncode == 0, stderr
    kept.ok("snapshot", "delete", "queued", "--yes")
    assert kept.visit() == saved + 1


def read_until(command: subprocess.Popen[str], text: str) -> None:
    """Read the standard error of a command up to a line that holds `text`."""
    assert command.stderr is not None
    seen: list[str] = []
    for line in command.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"{text!r} was not written: {''.join(seen)}")


@dataclass(frozen=True)
class Data:
    """What the counter says in the data there is (None: in none), and in what `undo` would bring back."""

    now: int | None
    before: int | None

    def after(self, command: str, early: int, dumped: int) -> Data:
        """The same once a command was run, which fails where there is nothing for it."""
        match command:
            case "restore":
                return self._replaced(early)
            case "load":
                return self._replaced(dumped)
            case "undo":
                return self._replaced(self.before)
            case "reset" | "upgrade" if self.now is not None:
                return Data(None if command == "reset" else self.now, self.now)
            case "up" if self.now is None:
                return Data(0, self.before)
            case _:
                return self

    def _replaced(self, now: int | None) -> Data:
        return Data(now, self.before if self.now is None else self.now)


def words(command: str, dump: Path) -> tuple[str, ...]:
    return {
        "restore": ("snapshot", "restore", "early", "--yes"),
        "load": ("load", "--replace", str(dump), "--yes"),
        "undo": ("undo", "--yes"),
        "reset": ("reset", "--yes"),
        "rotate": ("rotate", "db"),
        "upgrade": ("upgrade", "db", "--to", str(NEW)),
    }.get(command, (command,))


# Each command once or more; tests/unit/test_at_once.py has all pairs.
PAIRS = (("up", "reset"), ("down", "restore"), ("restore", "reset"), ("undo", "load"), ("restore", "rotate"))


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_commands_at_once_leave_the_data_of_one_order(kept: Cli, tmp_path: Path, first: str, second: str) -> None:
    dump = tmp_path / "dump.sql"
    kept.ok("dump", str(dump))
    dumped = counted(kept)
    kept.visit()
    kept.ok("snapshot", "save", "early")
    early = counted(kept)
    kept.visit()
    kept.ok("snapshot", "restore", "early", "--yes")
    kept.visit()
    kept.visit()
    begun = Data(counted(kept), early + 1)
    check_pair(kept, begun, first, second, early, dumped, dump)
    kept.ok("snapshot", "delete", "early", "--yes")


@pytest.mark.long
def test_an_upgrade_at_once_with_a_reset_can_be_undone(new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    own = Own(new_cli(file=tmp_path / "versioned.py"))
    own.cli.up()
    own.cli.visit()
    begun = Data(counted(own.cli), None)
    own.declare(NEW)
    check_pair(own.cli, begun, "upgrade", "reset", 0, 0, tmp_path / "none")


def check_pair(cli: Cli, begun: Data, first: str, second: str, early: int, dumped: int, dump: Path) -> None:
    """Run the second while the first works, and require the data of one order, nothing left over, and an `undo`."""
    one, other = (
        begun.after(earlier, early, dumped).after(later, early, dumped)
        for earlier, later in ((first, second), (second, first))
    )
    running = cli.start(*words(first, dump))
    # It holds the lock once it says anything, unless it has nothing to say.
    assert running.stderr is not None
    running.stderr.readline()
    for command in (cli.start(*words(second, dump)), running):
        _, stderr = command.communicate(timeout=240)
        assert command.returncode in (0, 1), stderr
        assert "Traceback" not in stderr
    now = counted(cli) if cli.state.exists() else None
    fitting = [data for data in (one, other) if data.now == now]
    assert fitting, f"{now} is neither of {one} nor of {other}"
    check_nothing_is_left(cli, "after both")
    cli.ok("undo", "--yes")
    assert counted(cli) in [data.before for data in fitting]
    check_nothing_is_left(cli, "after undo")


def counted(cli: Cli) -> int:
    """The counter in the data, which is brought up for that, and changes nothing."""
    cli.up()
    return int(cli.data("inspect", "db", "--query", "SELECT visits FROM visit_counter")["rows"][0][0])


def check_nothing_is_left(cli: Cli, when: str) -> None:
    """Require that there is no data but that in use and that of `undo`, and no component but those declared."""
    assert cli.data("prune", "--data", "--dry-run")["orphans"] == [], when
    instances = cli.data("ls")["instances"]
    assert len(instances) == cli.state.exists(), when
    left = stores(cli)
    assert len(left) <= (2 if cli.state.exists() else 0), f"{when}: {left}"
    if cli.state.exists():
        planned = cli.data("plan")
        assert planned["changes"] is False, f"{when}: {planned}"
        assert set(cli.data("status")["components"]) == {"web", "db", "cache"}, when


def stores(cli: Cli) -> list[str]:
    """The volumes or folders of the instance's data, those included that are not whole."""
    if cli.engine == "compose":
        listing = ["docker", "volume", "ls", "--quiet", "--filter", f"label={LABEL_INSTANCE}={cli.instance}"]
        return subprocess.run(listing, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    project = default_project(cli.instance, cli.state)
    homes = [home_at(project, cli.state).folder] if cli.state.exists() else [ROOT_HOMES / project]
    return [path.name for home in homes for path in home.glob("data/*db*")]


@on_one_engine
@pytest.mark.parametrize("command", [("snapshot", "save", "cut"), ("reset", "--yes")], ids=lambda words: words[0])
def test_what_a_killed_save_left_the_next_change_removes(kept: Cli, command: tuple[str, ...]) -> None:
    count = kept.visit()
    with kept.start(*command) as saving:
        left = eventually(lambda: partial_files(kept), every=0.001)
        saving.kill()
        saving.communicate(timeout=60)
    assert partial_files(kept) == left, "it was killed too late"
    kept.ok("snapshot", "list")
    kept.up()
    assert partial_files(kept) == []
    assert kept.visit() == count + 1


def partial_files(cli: Cli) -> list[Path]:
    return list((cli.folder / ".stackctl" / ".snapshots" / cli.instance).glob(".*"))
