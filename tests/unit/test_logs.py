"""The lines of the logs: which are wanted, and how they are shown."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stack import Postgres, Stack, WebApp, Worker
from stack.cli import terminal
from stack.cli.moments import moment
from stack.commands import logs as module
from stack.commands.logs import LogOptions, follow, logs
from stack.engines.base import LogLine
from stack.engines.compose import log_lines
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded import log_times
from stack.errors import UsageError
from stack.instance import Instance
from stack.observed import ComponentState
from stack.record import Record
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.style import Style
from stack.workflow.choosing import Choice
from stack.workflow.opened import Opened
from tests.unit.fake_engine import FakeEngine, World

WEB = WebApp("web", source=".", uses=["db"])
STACK = Stack("shop", [WEB, Worker("worker", of=WEB, command="work", replicas=2), Postgres("db")])
INSTANCE = Instance("shop", "stackctl-shop-abc", STACK, Path("/"), Path("/"), {})
SETTINGS = Settings(PLAYGROUND, None, Path("/"))
NOON = datetime(2026, 1, 2, 12, 0, 0, 123000, tzinfo=UTC)
LINES = (
    LogLine("web", "GET / 200", time=NOON),
    LogLine("worker", "ERROR one", 1, NOON + timedelta(seconds=1)),
    LogLine("db", "ready\x1b[2J", time=None),
    LogLine("worker", "ERROR two", 2, NOON + timedelta(seconds=2)),
    LogLine("worker", "ERROR three", 1, NOON + timedelta(seconds=3)),
)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    up = ComponentState("1", "running", "healthy", 0, 0, False, NOON, "image")
    made = World(dict.fromkeys(STACK.names, up), lines=LINES)
    engine = FakeEngine(made, INSTANCE, like=ComposeEngine)
    opened = Opened(INSTANCE, State(Path("/")), engine, Record("stackctl-shop-abc", {}), Choice("compose"))
    monkeypatch.setattr(module, "look", lambda settings: opened)
    return made


def shown(*names: str, style: Style | None = None, **options: object) -> list[str]:
    return logs(SETTINGS, names, LogOptions(**options)).shown(style or Style()).splitlines()  # type: ignore[arg-type]


def test_names_stand_in_front_of_the_lines_of_several(world: World) -> None:
    assert shown("web", "db") == ["web | GET / 200", "db  | ready\x1b[2J"]
    assert shown("worker") == ["worker-1 | ERROR one", "worker-2 | ERROR two", "worker-1 | ERROR three"]
    assert shown("web") == ["GET / 200"]
    assert len(shown()) == len(LINES)


def test_the_time_stands_in_front_if_it_is_known(world: World) -> None:
    assert shown("web", timestamps=True) == ["2026-01-02T12:00:00.123Z GET / 200"]
    assert shown("db", timestamps=True) == [f"{'-':<24} ready\x1b[2J"]


def test_a_pattern_leaves_out_the_others_before_the_last_are_counted(world: World) -> None:
    only = re.compile("ERROR|200")
    assert shown(grep=only, tail=1) == ["web      | GET / 200", "worker-2 | ERROR two", "worker-1 | ERROR three"]
    assert shown(grep=re.compile("worker")) == [], "the name is no part of the line"
    assert shown("worker", since=NOON + timedelta(seconds=2)) == ["worker-2 | ERROR two", "worker-1 | ERROR three"]


def test_each_component_has_a_colour_on_a_terminal_alone(world: World) -> None:
    web, db = shown("web", "db", style=Style(colour=True, width=80))
    assert web == "\x1b[36mweb |\x1b[0m GET / 200"
    assert db.startswith("\x1b[32mdb  |\x1b[0m ready"), "another colour than that of web"
    assert "\x1b[2J" not in db, "a line does not act on the terminal"
    assert shown("web", "db", style=Style(width=80))[0] == "web | GET / 200", "NO_COLOR"


def test_programs_get_the_parts_of_each_line(world: World) -> None:
    data = logs(SETTINGS, ["worker"], LogOptions(tail=1, grep=re.compile("one"))).data
    assert data.lines == ("worker-1 | ERROR one",)
    (entry,) = data.entries
    assert (entry.component, entry.replica, entry.text) == ("worker", 1, "ERROR one")


def test_following_tells_of_a_line_that_is_left_out_too(world: World) -> None:
    written: list[str | None] = []
    follow(SETTINGS, ["worker"], LogOptions(grep=re.compile("two")), Style(), written.append)
    assert written == [None, "worker-2 | ERROR two", None]


def test_a_closed_pipe_is_noticed_without_a_line_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        terminal.write_log_line(None)
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            terminal.write_log_line(None)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("10m", 600), ("1h30m", 5400), ("2d", 172800), ("1d2h3m4s", 93784), ("0s", 0), ("90s", 90)],
)
def test_a_moment_is_so_long_ago(text: str, ago: float) -> None:
    assert moment("--since", text, NOON) == NOON - timedelta(seconds=ago)


def test_a_moment_is_a_time_of_this_machine_unless_it_names_a_zone() -> None:
    assert moment("--since", "2026-01-02T12:00:00.123Z", NOON) == NOON
    assert moment("--since", "2026-01-02T14:00+02:00", NOON) == NOON.replace(microsecond=0)
    assert moment("--since", "2026-01-02", NOON) == datetime(2026, 1, 2).astimezone()


@pytest.mark.parametrize(
    "text", ["", "soon", "10", "m", "-5m", "5m ago", "1m1h", "99999999999999d", "2026-13-01", "0001-01-01"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    try:
        moment("--since", text, NOON)
    except UsageError as error:
        assert "--since" in error.message  # noqa: PT017
        assert "--since 10m" in error.hint  # noqa: PT017
    else:
        assert text == "0001-01-01", "a time that each zone has"


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        ("web-1     | 2026-01-02T12:00:00.123000000Z GET / 200", LINES[0]),
        ("worker-2  | 2026-01-02T12:00:02.123Z ERROR two\r", LINES[3]),
        ("my-web-1  | 2026-01-02T12:00:00.123Z a | b", LogLine("my-web", "a | b", None, NOON)),
        ("web-1  | 2026-01-02T12:00:00.123Z ", LogLine("web", "", None, NOON)),
        ("web-1  | 2026-01-02T12:00:00.123Z", LogLine("web", "", None, NOON)),
        ("web-1 exited with code 0", None),
        ("", None),
    ],
)
def test_what_compose_prints_is_read(printed: str, line: LogLine | None) -> None:
    assert log_lines.parsed(printed, INSTANCE.stack.replicas) == line


@pytest.mark.parametrize(
    "line",
    [
        "2026-01-02 12:00:00.123 UTC [7] LOG:  database system is ready",
        '{"time": "2026-01-02T12:00:00.123456Z", "level": "info"}',
        "[2026-01-02 13:00:00,123 +0100] [7] [INFO] Starting gunicorn",
        '127.0.0.1 - - [02/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 200',
    ],
)
def test_a_line_says_when_it_was_written(line: str) -> None:
    found = log_times.time_in(line)
    assert found is not None
    assert found.replace(microsecond=0) == NOON.replace(microsecond=0)


def test_a_time_without_a_zone_is_one_of_this_machine() -> None:
    expected = datetime(2026, 1, 2, 12, 0, 0, 123000).astimezone()
    assert log_times.time_in("7:M 02 Jan 2026 12:00:00.123 * Ready to accept connections") == expected


@pytest.mark.parametrize(
    "line", ["", "no time", "2026-13-45 12:00:00", "02 Foo 2026 12:00:00", f"{'x' * 200} 2026-01-02 12:00:00"]
)
def test_a_line_without_a_time_says_none(line: str) -> None:
    assert log_times.time_in(line) is None


def test_lines_that_may_be_young_enough_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("no time\n2026-01-02T11:00:00Z old\nits second line\n2026-01-02T12:00:01Z new\nno time\n")
    texts = [text for text, _ in log_times.recent(log, NOON, None)]
    assert texts == ["its second line", "2026-01-02T12:00:01Z new", "no time"]
    assert [text for text, _ in log_times.recent(log, NOON, 1)] == ["no time"]
    assert [text for text, _ in log_times.recent(log, NOON, 0)] == []
    os.utime(log, (0, NOON.timestamp() - 1))
    assert log_times.recent(log, NOON, None) == [], "nothing was written since then"
    assert log_times.recent(tmp_path / "none.log", NOON, None) == []


def test_followed_lines_are_objects_one_a_line(world: World) -> None:
    written: list[str | None] = []
    report = follow(SETTINGS, ["worker"], LogOptions(grep=re.compile("two")), Style(), written.append, as_json=True)
    assert [line and json.loads(line) for line in written] == [
        None,
        {"component": "worker", "replica": 2, "time": "2026-01-02T12:00:02.123000+00:00", "text": "ERROR two"},
        None,
    ]
    assert report.streamed, "an envelope would be one more line"
