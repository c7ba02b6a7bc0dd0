"""`move`: to another engine, to a server and back, under load; and what is left of one that fails, is cut or is killed.

STACKCTL_POINTS says at how many moments it is killed (2).
"""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import sshd
from tests.cli import LIMIT, ROOT, Cli, eventually
from tests.conformance.engines import EMBEDDED, on_compose
from tests.judging import go_on, judged
from tests.load import Load

# Neither the collation of an image nor the order of its letters need be on this machine.
ACCEPTED = ("--accept-loss", "--yes")
POINTS = int(os.environ.get("STACKCTL_POINTS", "2"))
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)

pytestmark = [on_compose, *EMBEDDED.marks]


def move(cli: Cli, target: str) -> dict[str, Any]:
    """Take an instance to another engine, of which its commands are from then on."""
    moved = cli.data("move", "--to", target, *ACCEPTED)
    cli.engine = target
    return moved


def delete_old(cli: Cli) -> None:
    cli.ok("move", "--delete-old", "--yes")
    assert cli.data("status")["elsewhere"] is None


@pytest.mark.long
def test_no_visit_is_lost_on_the_way_to_another_engine_and_back(cli: Cli) -> None:
    cli.up()
    password = cli.state.joinpath("secrets", "db_password").read_text()
    with judged(cli, exact_reads=False) as load:
        for there in ("embedded", "compose"):
            left = cli.engine
            moved = move(cli, there)
            assert (moved["was"], moved["now"], moved["rows"] > 0) == (left, there, True)
            assert 0 < moved["downtime"] < LIMIT
            go_on(load)
            assert cli.data("status")["elsewhere"]["place"] == left
            delete_old(cli)
    assert cli.state.joinpath("secrets", "db_password").read_text() == password
    assert cli.pending() == []


@pytest.mark.long
def test_a_return_leads_to_the_data_of_then_and_forth_again(cli: Cli) -> None:
    cli.up()
    assert cli.visit() == 1
    move(cli, "embedded")
    assert (cli.visit(), cli.visit()) == (2, 3)
    error = cli.fails("move", "--to", "compose", "--yes", code="move-pending")
    assert "--delete-old" in error["hint"]
    for engine, number in (("compose", 2), ("embedded", 4)):
        cli.ok("move", "--back", "--yes")
        cli.engine = engine
        assert cli.visit() == number


@pytest.fixture
def leaving(server: sshd.Server, new_cli: Callable[..., Cli]) -> Cli:
    """An instance that is up here, and can reach the server."""
    cli = new_cli(environment={"PATH": server.environment["PATH"]})
    cli.up()
    return cli


@pytest.mark.ssh
@pytest.mark.long
def test_no_visit_is_lost_on_the_way_to_a_server(leaving: Cli, server: sshd.Server) -> None:
    with judged(leaving, exact_reads=False) as load:
        moved = leaving.data("move", "--to", str(server.server), "--yes")
        assert (moved["was"], moved["now"]) == ("compose", str(server.server))
        go_on(load)
    status = leaving.data("status")
    assert (status["host"], status["state"], status["tunnel"]) == (str(server.server), "up", "open")
    assert status["elsewhere"]["place"] == "compose"
    listed = leaving.ok("ls").stdout
    assert "is kept on compose" in listed


@pytest.mark.long
@pytest.mark.ssh
def test_a_server_is_left_again(leaving: Cli, server: sshd.Server) -> None:
    leaving.visit()
    for target in (str(server.server), "compose", str(server.server), "embedded"):
        count = leaving.visit()
        leaving.ok("move", "--to", target, *ACCEPTED)
        leaving.engine = "embedded" if target == "embedded" else "compose"
        assert leaving.visit() == count + 1
        delete_old(leaving)


@pytest.mark.long
@pytest.mark.ssh
@pytest.mark.parametrize("when", ["loading", "starting"])
def test_a_connection_that_is_cut_loses_nothing(leaving: Cli, server: sshd.Server, when: str) -> None:
    leaving.visit()
    # By then it is stopped here and its data is read; or it is to be started there.
    note = {"loading": "compose-*/beside.log", "starting": "applied.elsewhere.json"}[when]
    load = Load(lambda: [leaving.port])
    load.start()
    go_on(load)
    going = leaving.start("--json", "move", "--to", str(server.server), "--yes")
    eventually(lambda: [*leaving.state.glob(note)], every=0.02)
    server.cut()
    out, _ = going.communicate(timeout=LIMIT)
    assert (going.returncode, '"connection-lost"' in out) == (1, True), out
    leaving.ok("up")
    go_on(load)
    load.stop()
    acknowledged = load.acknowledged() + 1
    assert leaving.visit() > acknowledged
    if leaving.data("status")["host"] is None:
        leaving.ok("move", "--to", str(server.server), "--yes")
    assert leaving.data("status")["host"] == str(server.server)


@pytest.mark.long
def test_an_app_that_fails_there_serves_here_again(new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    file = tmp_path / "picky.py"
    file.write_text(
        textwrap.dedent(f"""
        from dataclasses import replace
        from stack import Stack
        from stack.playground import cache, db, web
        db = replace(db, migrations={str(ROOT / "service" / "migrations")!r})
        picky = ["sh", "-c", "test -z $STACKCTL_RUN || exit 3; exec python serve.py"]
        web = replace(web, source={str(ROOT / "service")!r}, command=picky)
        stack = Stack("playground", [web, db, cache])
        """)
    )
    cli = new_cli(file=file)
    cli.up()
    with judged(cli, exact_reads=False) as load:
        error = cli.run("--json", "move", "--to", "embedded", *ACCEPTED).error
        assert "is on compose as it was" in error["hint"]
        go_on(load)
    status = cli.data("status")
    assert (status["engine"], status["elsewhere"]) == ("compose", None)


@pytest.mark.long
def test_a_killed_move_loses_nothing(cli: Cli) -> None:
    cli.up()
    count = cli.visit()
    began = time.monotonic()
    move(cli, "embedded")
    whole = time.monotonic() - began
    for point in range(POINTS):
        delete_old(cli)
        number, moment = SIGNALS[point % len(SIGNALS)], whole * (point + 0.5) / POINTS
        left, target = cli.engine, "compose" if cli.engine == "embedded" else "embedded"
        _cut_off(cli, target, moment, number)
        # It is at one of the two places, and says at which.
        cli.engine = next(each for each in (left, target) if _is_on(cli, each))
        cli.ok("up")
        when = f"{number.name} after {moment:.1f} s of {whole:.1f} s, from {left}: now on {cli.engine}"
        assert cli.visit() == count + 1, when
        count += 1
        assert cli.pending() == [], when
        if cli.engine == left:
            move(cli, target)
        assert cli.visit() == count + 1, when
        count += 1


def _is_on(cli: Cli, engine: str) -> bool:
    cli.engine = engine
    return cli.run("status").exit_code == 0


def _cut_off(cli: Cli, target: str, moment: float, number: signal.Signals) -> None:
    with cli.start("move", "--to", target, *ACCEPTED) as running:
        try:
            running.wait(moment)
        except subprocess.TimeoutExpired:
            running.send_signal(number)
        _, said = running.communicate(timeout=LIMIT)
    assert running.returncode in (0, 130, -number), said
