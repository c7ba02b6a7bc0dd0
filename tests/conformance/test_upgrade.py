"""A newer major version of PostgreSQL takes the data along, or the old one has it whole.

STACKCTL_POINTS says at how many moments an upgrade is cut off (2).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_containers_at_length, on_one_engine
from tests.history import violations
from tests.load import Load

Make = Callable[..., Cli]

POINTS = int(os.environ.get("STACKCTL_POINTS", "2"))
NEW = 18
STACK = """\
from dataclasses import replace
from stack import Stack
from stack.playground import cache, db, web

db = replace(db, version={version}, migrations={source!r} + "/migrations")
web = replace(web, source={source!r})
stack = Stack("playground", [web, db, cache])
"""


class Own:
    """An instance of the playground whose declaration names a version of PostgreSQL."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.old = 16 if cli.engine == "embedded" else 17
        self.declare(self.old)

    def declare(self, version: int) -> None:
        from stack.playground import web
        from stack.settings import PLAYGROUND

        source = str((PLAYGROUND.parent / str(web.source)).resolve())
        assert self.cli.file is not None
        self.cli.file.write_text(STACK.format(version=version, source=source), encoding="utf-8")

    def major(self) -> int:
        (version,) = self.cli.data("inspect", "db", "--query", "SHOW server_version")["rows"][0]
        return int(version.split(".")[0])


@pytest.fixture
def own(new_cli: Make, tmp_path: Path) -> Own:
    return Own(new_cli(file=tmp_path / "versioned.py"))


@on_containers_at_length
def test_an_upgrade_keeps_the_data_and_undo_restores_the_old(own: Own) -> None:
    cli = own.cli
    cli.up()
    assert [cli.visit() for _ in range(3)] == [1, 2, 3]
    assert own.major() == own.old
    own.declare(NEW)
    told = cli.fails("up", code="data-version")
    assert f" upgrade db --to {NEW}" in told["hint"]
    assert cli.data("plan")["obstacle"]["code"] == "data-version"
    assert cli.visit() == 4, "what runs was not touched"
    cli.fails("upgrade", "db", "--to", "19", code="usage", exit_code=2)
    cli.fails("upgrade", "web", "--to", str(NEW), code="usage", exit_code=2)
    done = cli.data("upgrade", "db", "--to", str(NEW))
    assert (done["from"], done["to"], done["changed"]) == (own.old, NEW, True)
    assert own.major() == NEW
    assert cli.visit() == 5
    assert cli.pending() == []
    assert cli.data("upgrade", "db", "--to", str(NEW))["changed"] is False

    own.declare(own.old)
    assert "undo" in cli.fails("upgrade", "db", "--to", str(own.old), code="data-version")["hint"]
    cli.ok("undo", "--yes")
    assert own.major() == own.old
    assert cli.visit() == 5, "as it was before the upgrade"
    own.declare(NEW)
    cli.ok("undo", "--yes")
    assert own.major() == NEW
    assert cli.visit() == 6, "as it was before the first undo"


@on_one_engine
@pytest.mark.long
def test_the_old_data_of_an_upgrade_is_kept_through_an_undo_of_it(own: Own) -> None:
    cli = own.cli
    cli.up()
    count = cli.visit()
    own.declare(NEW)
    cli.ok("upgrade", "db", "--to", str(NEW))
    cli.ok("undo", "--yes")
    assert own.major() == NEW, "the data is what it was, in the version that is declared"
    assert cli.visit() == count + 1
    own.declare(own.old)
    cli.ok("undo", "--yes")
    assert own.major() == own.old
    assert cli.visit() == count + 1, "as it was before the upgrade"


@on_one_engine
@pytest.mark.long
def test_a_kill_after_the_switch_leaves_an_upgraded_instance(own: Own) -> None:
    cli = own.cli
    cli.up()
    count = cli.visit()
    own.declare(NEW)
    applied = cli.state / "applied.json"
    before = json.loads(applied.read_text(encoding="utf-8"))["data"]
    cli.ok("upgrade", "db", "--to", str(NEW))
    cli.ok("down")
    after = json.loads(applied.read_text(encoding="utf-8"))
    applied.write_text(json.dumps(after | {"data": before}), encoding="utf-8")
    cli.up()
    assert own.major() == NEW
    assert cli.visit() == count + 1
    assert cli.data("upgrade", "db", "--to", str(NEW))["changed"] is False, "it knows what it is on"


@pytest.mark.long
def test_an_upgrade_under_load_loses_nothing_that_was_acknowledged(own: Own) -> None:
    cli = own.cli
    cli.up()
    load = Load(lambda: [cli.port])
    load.start()
    try:
        eventually(lambda: load.acknowledged() > 100)
        own.declare(NEW)
        cli.ok("upgrade", "db", "--to", str(NEW))
        upgraded = time.monotonic()
        eventually(lambda: load.log[-1].start > upgraded and load.log[-1].outcome == "ok")
    finally:
        load.stop()
    final = cli.get("/visits/homepage")[1]["visits"]
    assert violations(load.log, {"homepage": final}) == []


@pytest.mark.long
def test_an_upgrade_that_is_killed_leaves_the_old_or_the_new_whole(own: Own) -> None:
    cli = own.cli
    cli.up()
    began = time.monotonic()
    own.declare(NEW)
    cli.ok("upgrade", "db", "--to", str(NEW), "--no-snapshot")
    whole = time.monotonic() - began
    for point in range(POINTS):
        cli.reset()
        own.declare(own.old)
        cli.up()
        count = cli.visit()
        own.declare(NEW)
        moment = whole * (point + 0.5) / POINTS
        with cli.start("upgrade", "db", "--to", str(NEW)) as running:
            try:
                running.wait(moment)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGKILL)
            running.communicate(timeout=60)
        when = f"killed after {moment:.2f} s of {whole:.2f} s"
        if cli.run("up").exit_code:
            own.declare(own.old)
            cli.up()
            assert own.major() == own.old, when
            count += 1
            assert cli.visit() == count, when
            own.declare(NEW)
            cli.ok("upgrade", "db", "--to", str(NEW))
        assert own.major() == NEW, when
        assert cli.visit() == count + 1, when
        assert cli.pending() == [], when
