"""Two commands that change one instance at once: the data afterwards is that of one order of the two."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_one_engine


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
