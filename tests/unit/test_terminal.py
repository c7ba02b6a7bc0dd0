"""What stands on a terminal: lines that move, tables and hints that fit, colours; and plain lines on a pipe."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.cli import terminal as module
from stack.cli.progress import Lines, Live
from stack.errors import StackError
from stack.progress import Replacing
from stack.style import PLAIN, Column, Style, cut, table, width_of
from tests.cli import STACKCTL
from tests.terminal import Screen, answered, terminal

COLOURED = Style(colour=True, width=80, home="/home/ada")


class Watched(io.StringIO):
    """A stream whose screen is looked at."""

    @property
    def screen(self) -> Screen:
        screen = Screen()
        # As the line discipline of a terminal does.
        screen.write(self.getvalue().replace("\n", "\r\n"))
        return screen

    def fileno(self) -> int:
        raise OSError


@pytest.fixture
def stream() -> Watched:
    return Watched()


@pytest.fixture
def live(stream: Watched) -> Iterator[Live]:
    shown = Live(stream, lambda: Style(colour=True, width=40))
    yield shown
    shown.close()


def words(screen: Screen) -> list[str]:
    """The lines without the spinner and the seconds."""
    return [re.sub(r"^(\S| )\s+\d+\.\d s  ", r"\1 ", line).rstrip() for line in screen.text.split("\n")]


def test_each_component_keeps_its_line_while_its_state_changes(live: Live, stream: Watched) -> None:
    live.states({"web": "starting", "db": "starting"})
    live.states({"web": "starting", "db": "healthy"})
    live.states({"web": "unhealthy", "db": "healthy"})
    live.close()
    assert words(stream.screen) == ["✘ web  unhealthy", "✔ db   healthy"]


def test_what_runs_and_was_not_asked_yet_is_not_done(live: Live, stream: Watched) -> None:
    live.states({"web": "running", "db": "starting"})
    live.close()
    assert words(stream.screen) == ["  web  running", "  db   starting"]


def test_a_job_that_is_done_has_settled(live: Live, stream: Watched) -> None:
    live.states({"migrate": "done", "web": "starting"})
    assert words(stream.screen)[0] == "✔ migrate  done"


def test_a_step_moves_until_the_next_begins_and_stays_above_it(live: Live, stream: Watched) -> None:
    live.step("web: stopping")
    assert words(stream.screen)[0][0] in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
    live.step("web: removing")
    live.close()
    assert words(stream.screen) == ["  web: stopping", "  web: removing"]


def test_a_spinner_turns_while_nothing_is_reported(live: Live, stream: Watched) -> None:
    live.step("web: stopping")
    drawn = stream.getvalue()
    ticker = live._ticker
    assert ticker is not None
    while stream.getvalue() == drawn:
        ticker.join(0.05)
        assert ticker.is_alive()


def test_no_line_is_wider_than_the_terminal(live: Live, stream: Watched) -> None:
    live.states({"web": "building [4/6] RUN pip install " + "x" * 200})
    live.step("x" * 200)
    live.close()
    assert stream.screen.widest <= 40
    assert stream.screen.text.count("\n") == 1


def test_nothing_is_shown_when_all_was_healthy_at_the_first_look(live: Live, stream: Watched) -> None:
    plain = io.StringIO()
    for progress in (live, Lines(plain)):
        progress.states({"web": "healthy", "db": "running"})
        progress.close()
    assert (stream.getvalue(), plain.getvalue()) == ("", "")


def test_a_pipe_gets_one_plain_line_a_change() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.announce(lambda style: style.paint("+", "32") + " web: create")
    for state in ("starting", "starting", "healthy"):
        lines.states({"web": state})
    seen = [re.sub(r"^ +\d+\.\d s  ", "", line) for line in stream.getvalue().splitlines()]
    assert seen == ["+ web: create", "web: starting", "web: healthy"]


@pytest.mark.parametrize(
    ("variables", "moves"),
    [
        ({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False),
        ({}, False), ({"TERM": "xterm", "CI": "true"}, False),
    ],
)  # fmt: skip
def test_lines_move_only_where_the_cursor_can(
    variables: dict[str, str], moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with terminal() as (_, follower), os.fdopen(follower, "w", encoding="utf-8") as screen:
        monkeypatch.setattr("sys.stderr", screen)
        assert isinstance(module.progress(), Live if moves else Lines)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(module.progress(), Lines)


def test_a_component_that_is_replaced_does_not_look_broken(live: Live, stream: Watched) -> None:
    seen: list[str] = []

    class Seen(Lines):
        def step(self, text: str) -> None:
            seen.append(text)

    progress = Replacing(Seen(stream), ["web"])
    for state in ("healthy", "exited (143)", "created", "starting", "exited (1)"):
        progress.states({"web": state, "db": "starting"})
    assert [line for line in seen if "web" in line] == [
        "web: healthy", "web: being replaced", "web: starting", "web: exited (1)",
    ]  # fmt: skip


ROWS = [["shop", "http://localhost:8000", "12", "/home/ada/projects/a-very-long-name/shop.py"], ["x", "-", "3", "?"]]
COLUMNS = (Column("NAME"), Column("URL", least=14, keeps="end"), Column("N", right=True), Column("FILE", keeps="end"))


@pytest.mark.parametrize("width", [30, 60, 80, 140])
def test_a_table_fits_the_terminal_and_cuts_what_gives_way(width: int) -> None:
    lines = table(COLUMNS, ROWS, Style(width=width)).split("\n")
    assert len(lines) == 3
    assert max(map(width_of, lines)) <= width
    assert "shop.py" in lines[1] or width == 30


def test_numbers_stand_below_each_other() -> None:
    columns = (Column("N", right=True), Column("M"))
    assert table(columns, [["7", "a"], ["12", "b"]]).split("\n") == [" N  M", " 7  a", "12  b"]


def test_a_table_of_wide_letters_is_even() -> None:
    lines = table((Column("A"), Column("B")), [["日本", "x"], ["ab", "y"]]).split("\n")
    assert [width_of(line) for line in lines] == [7, 7, 7]


def test_an_interruption_takes_the_line_of_its_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "stackfile.py").write_text("import threading\nprint('ready', flush=True)\nthreading.Event().wait()\n")
    exit_code, shown = answered([*STACKCTL, "plan"], ["\3"], "ready\r\n", tmp_path)
    screen = Screen()
    screen.write(shown)
    assert (exit_code, "^C" in shown) == (130, True)
    assert screen.text.startswith("ready\nError (interrupted): interrupted; nothing was deleted\n")


def test_paths_below_the_home_folder_are_short_on_a_terminal_alone() -> None:
    assert COLOURED.path("/home/ada/shop.py") == "~/shop.py"
    assert COLOURED.path("/home/adam/shop.py") == "/home/adam/shop.py"
    assert COLOURED.paths("free in /home/ada/x, not in /mnt/home/ada/x") == "free in ~/x, not in /mnt/home/ada/x"
    assert PLAIN.path("/home/ada/shop.py") == "/home/ada/shop.py"


def test_a_url_stands_out_and_is_a_link_where_that_works() -> None:
    assert COLOURED.url("http://x") == "\x1b[1;4mhttp://x\x1b[0m"
    assert Style(colour=True, links=True).url("http://x").startswith("\x1b]8;;http://x\x1b\\")
    assert PLAIN.url("http://x") == "http://x"


def test_a_hint_breaks_at_its_semicolons_and_never_inside_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "`stackctl --instance review logs web --tail 200`"
    hint = f"read its whole log with {command}, and fix the cause; no data was touched"
    error = StackError("crash-loop", "web keeps exiting", hint)
    module.print_error(error)
    assert capsys.readouterr().err == f"Error (crash-loop): web keeps exiting\nHint: {hint}\n"
    monkeypatch.setattr(module, "style", lambda stream: Style(width=60))
    module.print_error(error)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == [
        "Hint: read its whole log with",
        "      `stackctl --instance review logs web --tail 200`, and",
        "      fix the cause;",
        "      no data was touched",
    ]


def test_a_path_wider_than_the_line_breaks_after_a_slash() -> None:
    path = "/srv/" + "/".join(["a-long-name"] * 5)
    broken = Style(width=40).wrapped(f"free in {path}, as seen", "ok  disk  ")
    assert max(map(len, broken.split("\n"))) <= 40, broken
    assert "".join(broken.split()) == "".join(f"ok disk free in {path}, as seen".split())
    assert {len(line) - len(line.lstrip()) for line in broken.split("\n")[1:]} == {len("ok  disk  ")}
    assert Style(width=40).wrapped(f"`chmod 700 {path}`") == f"`chmod 700 {path}`"


def test_what_is_cut_says_so() -> None:
    assert (cut("abcdef", 4), cut("abcdef", 4, "end"), cut("abc", 4)) == ("abc…", "…def", "abc")


def test_the_home_of_this_user_is_what_a_terminal_shortens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal(123) as (_, follower), os.fdopen(follower, "w") as screen:
        monkeypatch.delenv("COLUMNS", raising=False)
        style = module.style(screen)
    assert (style.width, style.home) == (123, str(Path.home()))
