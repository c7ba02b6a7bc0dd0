"""What goes wrong with processes alone, or is seen sooner than a user of the command would."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack.engines.embedded import observe
from stack.errors import StackError
from tests.embedded.running import Running, kill, running
from tests.servers import MISSING

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Running]:
    """An instance that is not up yet."""
    with running(tmp_path) as made:
        yield made


@pytest.mark.long
def test_a_frozen_database_is_the_culprit_and_not_those_who_wait_for_it(
    one: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.up()
    frozen = one.process("db")
    kill(frozen, signal.SIGSTOP)
    try:
        monkeypatch.setattr(observe, "_START_PERIOD", 0.0)
        with pytest.raises(StackError, match="db runs but its health check fails") as raised:
            one.up(timeout=2)
    finally:
        kill(frozen, signal.SIGCONT)
    assert raised.value.code == "unhealthy"
    assert "gave no answer in" in raised.value.message
    assert "stackctl logs db" in raised.value.hint


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A disk of its own for a folder, far too small for a database."""
    owner = folder.stat()
    options = f"size=4m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_database_whose_disk_is_full_is_told(one: Running) -> None:
    data = one.home.data("db").parent
    one.make_home(data)
    with full_disk(data):
        try:
            with pytest.raises(StackError, match="no space left on a disk that db writes to") as raised:
                one.up()
        finally:
            one.engine.down()
    assert raised.value.code == "disk-full"
    assert "No space left on device" in raised.value.output
    one.up()
    assert one.visit() == 1, "with room it comes up, and all is there"
