"""How each component is, as a user meets it, and where an app listens that no request reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stack import Postgres, Stack, WebApp
from stack.engines.docker import listening as sockets
from stack.observed import ComponentState, Listening, Observed
from stack.state import State
from stack.verdict.judge import Answer, assess, ended, identity, judge, loops, misplaced
from stack.verdict.ready import found_ready, remember_ready

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(hours=1), NOW - timedelta(seconds=3)
UP = ComponentState("1", "running", "none", 0, 0, False, OLD, "image")
STACK = Stack("shop", [WebApp("web", source="."), Postgres("db")])
YES, NO = Answer(True, "200"), Answer(False, "503: no")


def health(state: ComponentState, answer: Answer | None = None, ready: bool = False, name: str = "web") -> str:
    answers = {name: answer} if answer else {}
    known = {name: identity(state)} if ready else {}
    return assess(STACK, Observed({name: state}), answers, known, NOW).components[name].health


@pytest.mark.parametrize(
    ("state", "answer", "ready", "word"),
    [
        (UP, None, False, "none"),
        (UP, YES, False, "healthy"),
        (UP, NO, False, "unhealthy"),
        (replace(UP, since=YOUNG), NO, False, "starting"),
        (replace(UP, since=YOUNG), NO, True, "unhealthy"),
        (replace(UP, health="healthy"), NO, False, "unhealthy"),
        (replace(UP, health="starting"), YES, False, "starting"),
        (replace(UP, health="unhealthy"), YES, False, "unhealthy"),
        (replace(UP, restarts=1, since=YOUNG), YES, False, "unstable"),
        (replace(UP, restarts=1, since=NOW - timedelta(seconds=6)), YES, False, "healthy"),
        (replace(UP, restarts=9, since=NOW - timedelta(seconds=6)), YES, False, "unstable"),
        (replace(UP, restarts=9), YES, False, "healthy"),
        (replace(UP, state="restarting", restarts=9), NO, False, "none"),
    ],
)
def test_the_health_of_an_app_is_what_a_user_meets(
    state: ComponentState, answer: Answer | None, ready: bool, word: str
) -> None:
    assert health(state, answer, ready) == word


def test_a_database_that_was_ready_does_not_start_but_is_unhealthy() -> None:
    frozen = replace(UP, health="starting", since=YOUNG)
    assert (health(frozen, name="db"), health(frozen, ready=True, name="db")) == ("starting", "unhealthy")
    assert health(replace(frozen, since=OLD), name="db") == "unhealthy"


def test_what_may_still_start_is_no_certain_failure() -> None:
    slow = Observed({"web": replace(UP, health="unhealthy", health_output="migrating")})
    assert judge(STACK, slow, Observed({}), starting={"web"}) is None
    failure = judge(STACK, slow, Observed({}))
    assert failure is not None
    assert failure.code == "unhealthy"


def test_what_was_found_ready_is_known_until_it_is_started_again(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert found_ready(tmp_path) == {}
    remember_ready(state, Observed({"web": UP}))
    assert found_ready(tmp_path)["web"] == identity(UP)
    assert found_ready(tmp_path)["web"] != identity(replace(UP, since=YOUNG))
    (tmp_path / "ready.json").write_text("[]")
    assert found_ready(tmp_path) == {}


@pytest.mark.parametrize(
    ("exit_code", "text"),
    [(1, "exit code 1"), (137, "exit code 137: SIGKILL"), (139, "exit code 139: SIGSEGV"), (200, "exit code 200")],
)
def test_the_signal_that_ended_a_component_is_named(exit_code: int, text: str) -> None:
    assert ended(replace(UP, state="exited", exit_code=exit_code)) == text


def test_what_ends_again_and_again_is_known_also_while_it_runs() -> None:
    states: Mapping[str, ComponentState] = {
        "down": replace(UP, state="restarting", restarts=1),
        "up": replace(UP, restarts=4),
        "once": replace(UP, restarts=1),
        "long ago": replace(UP, restarts=40),
    }
    assert loops(Observed({"long ago": replace(UP, restarts=39)}), Observed(states)) == {"down", "up"}


ANY, LOOPBACK = "0.0.0.0", "127.0.0.1"
UNREACHED = "web listens on port 8000 of 127.0.0.1 inside its container, where nothing outside reaches it"


@pytest.mark.parametrize(
    ("found", "inside", "problem"),
    [
        ([(ANY, 8000)], True, None),
        ([("::", 8000)], True, None),
        ([(LOOPBACK, 8000), (ANY, 8000)], True, None),
        ([(LOOPBACK, 8000)], False, None),
        ([], True, None),
        ([(ANY, 9999)], True, "web listens on 9999, not on 8000"),
        ([(LOOPBACK, 9999), (ANY, 22)], False, "web listens on 22, 9999, not on 8000"),
        ([(LOOPBACK, 8000)], True, UNREACHED),
        ([("::ffff:127.0.0.1", 8000)], True, UNREACHED),
        ([("::1", 8000)], False, "web listens on port 8000 of ::1 alone"),
    ],
)  # fmt: skip
def test_where_an_app_listens_that_no_request_reaches(
    found: list[tuple[str, int]], inside: bool, problem: str | None
) -> None:
    wrong = misplaced("web", Listening(frozenset(found), 8000, inside))
    assert (wrong.problem if wrong else None) == problem


def test_what_listens_on_another_port_is_told_the_field_that_names_it() -> None:
    found = misplaced("web", Listening(frozenset({(ANY, 9999)}), 8000, inside=True))
    assert found is not None
    assert found.hint.endswith("declare the other: `port=` of an app, `ports=` of a Container")


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0B00007F:A2B1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:1F41 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:270F 00000000000000000000000000000000:0000 0A 00000000:00000000 00:0 0
"""


def test_the_sockets_of_a_container_are_read_from_the_kernel(tmp_path: Path) -> None:
    folder = tmp_path / "7" / "net"
    folder.mkdir(parents=True)
    (folder / "tcp").write_text(TCP)
    (folder / "tcp6").write_text(TCP6)
    (tmp_path / "7" / "cgroup").write_text("0::/system.slice/docker-abc.scope\n")
    assert sockets.of_container(7, "abc", tmp_path) == frozenset({("127.0.0.1", 8000), ("::1", 9999)})
    assert sockets.of_container(7, "other", tmp_path) is None, "the daemon is elsewhere"
    assert sockets.of_container(8, "abc", tmp_path) is None
