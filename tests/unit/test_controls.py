"""What another program wrote is seen on a terminal, and does not act on it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.cli import terminal as module
from stack.cli.progress import Lines, Live, redrawing
from stack.controls import visible
from stack.engines import process
from stack.errors import StackError
from stack.report import Report, as_json
from stack.style import Style
from tests.terminal import terminal

ROOT = Path(__file__).parents[2]
HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\x9b1A\u202e\x00"
SPELLED = r"a\x1b]0;title\x07\x1b[2Jb\x9b1A\u202e\x00"
COLOURED = Style(colour=True, width=80, links=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ü 'x' 日本\n\ty", "ü 'x' 日本\n\ty"), ("\x00", r"\x00"), ("\x07", r"\x07"), ("\x08", r"\x08"),
        ("a\rb", r"a\rb"), ("a\r\nb", "a\nb"), ("\x1b[2J", r"\x1b[2J"), ("\x1b]52;c;eA==\x07", r"\x1b]52;c;eA==\x07"),
        ("\x1bc", r"\x1bc"), ("\x7f", r"\x7f"), ("\x9b2J", r"\x9b2J"), ("\x85", r"\x85"), ("\u202a", r"\u202a"),
        ("\u202e", r"\u202e"), ("\u2066", r"\u2066"), ("\u2069", r"\u2069"), ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;https://a.example\x1b\\x", r"\x1b]8;;https://a.example\x1b\x"), (HOSTILE, SPELLED),
    ],
)  # fmt: skip
def test_controls_are_spelled_and_colours_dropped(text: str, shown: str) -> None:
    assert visible(text, lines=True) == shown


@pytest.mark.parametrize("colour", ["1", "2", "31", "32", "33", "36", "1;4", "1;31", "1;36"])
def test_the_colours_and_links_of_a_style_stay(colour: str) -> None:
    text = f"{COLOURED.paint('x', colour)} {COLOURED.url('http://localhost:80/a?b=%20')}"
    assert visible(text, styled=True) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[5;41mx", "x"), ("\x1b[8mx", "x"), (HOSTILE, SPELLED),
        ("\x1b]8;;file:///etc\x1b\\", r"\x1b]8;;file:///etc\x1b" + "\\"),
        ("\x1b]8;;http://a\u202e\x1b\\", r"\x1b]8;;http://a\u202e\x1b" + "\\"),
    ],
)  # fmt: skip
def test_no_other_colour_or_link_stays_in_styled_text(text: str, shown: str) -> None:
    assert visible(text, styled=True) == shown


def test_json_holds_no_control_and_says_the_same() -> None:
    text = as_json({"x": f"{HOSTILE}\x7f\x85\u2066 ü"})
    assert text.isprintable()
    assert "ü" in text
    assert json.loads(text) == {"x": f"{HOSTILE}\x7f\x85\u2066 ü"}


def test_an_error_is_spelled_with_its_output_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    error = StackError("broken", f"{HOSTILE} broke", f"look at {HOSTILE}")
    error.output = f"{HOSTILE}\nlast"
    module.print_error(error)
    expected = f"  | {SPELLED}\n  | last\nError (broken): {SPELLED} broke\nHint: look at {SPELLED}\n"
    assert capsys.readouterr().err == expected


def test_progress_in_lines_is_spelled() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.step(HOSTILE)
    lines.announce(lambda style: HOSTILE)
    lines.states({"web": HOSTILE})
    assert stream.getvalue().count(SPELLED) == 3
    assert stream.getvalue().replace("\n", "").isprintable()


def test_progress_in_place_is_spelled() -> None:
    stream = io.StringIO()
    live = Live(stream, lambda: COLOURED)
    live.announce(lambda style: style.paint(HOSTILE, "31"))
    live.step(HOSTILE)
    live.states({"web": HOSTILE})
    live.close()
    redrawing(stream)(HOSTILE)
    written = stream.getvalue()
    assert f"\x1b[31m{SPELLED}\x1b[0m" in written
    assert not {"\x07", "\x9b", "\u202e", "\x00"} & set(written)
    assert "\x1b[2J" not in written


def test_a_question_is_spelled(capsys: pytest.CaptureFixture[str]) -> None:
    assert module.confirmation("reset", yes=True)(HOSTILE)
    assert capsys.readouterr().err == f"{SPELLED}\n"


@pytest.mark.parametrize(("verbatim", "shown"), [(False, SPELLED), (True, HOSTILE)])
def test_a_report_in_a_pipe_is_spelled_unless_verbatim(
    verbatim: bool, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module.write_report(Report("logs", HOSTILE, None, verbatim=verbatim), 0)
    assert capsys.readouterr().out == f"{shown}\n"


@pytest.mark.parametrize("verbatim", [False, True])
def test_a_report_on_a_terminal_is_always_spelled(verbatim: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    drawn = Report.drawn("inspect", lambda style: style.paint(HOSTILE, "31"), None, verbatim=verbatim)
    with terminal() as (leader, follower), os.fdopen(follower, "w", encoding="utf-8") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        module.write_report(drawn, 0)
        module.write_log_line(HOSTILE)
        written = ""
        while written.count("\n") < 2:
            written += os.read(leader, 4096).decode()
    assert written == f"\x1b[31m{SPELLED}\x1b[0m\r\n{SPELLED}\r\n"


def test_a_line_of_another_program_stays_as_it_is_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    module.write_log_line(HOSTILE)
    assert capsys.readouterr().out == f"{HOSTILE}\n"


def test_the_command_line_spells_the_name_of_a_file_on_a_terminal(tmp_path: Path) -> None:
    with terminal(200) as (leader, follower):
        command = [sys.executable, str(ROOT / "stackctl.py"), "--file", f"{tmp_path}/\x1b]0;owned\x07.py", "render"]
        ended = subprocess.run(command, stdin=follower, stdout=follower, stderr=follower, cwd=tmp_path, check=False)
        os.close(follower)
        written = os.read(leader, 65536)
    assert ended.returncode != 0
    assert rb"\x1b]0;owned\x07" in written.replace(b"\r\n", b"")
    assert b"\x07" not in written
    assert b"\x1b]0" not in written


def test_each_line_of_a_command_is_handed_on() -> None:
    lines: list[str] = []
    assert process.stream(["sh", "-c", "printf 'a\\r\\nb\\377\\nend'; exit 3"], os.environ, lines.append) == 3
    assert lines == ["a\r", "b\ufffd", "end"]


def test_a_command_ends_when_its_reader_has_gone() -> None:
    def gone(line: str) -> None:
        raise BrokenPipeError

    assert process.stream(["sh", "-c", "echo a; exec sleep 600"], os.environ, gone) == 0
