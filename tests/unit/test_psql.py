"""A psql that is told and asked one thing after the other, with a program in its place that answers as it does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest

from stack.capabilities import Session
from stack.components.postgres import Postgres
from stack.components.postgres.psql import Psql, psql
from stack.components.postgres.server import Server
from stack.engines.process import Pipe
from stack.errors import StackError
from stack.workload import Target

# Answers what is selected, ends at `fails` with an error, and shows on standard error where it is to connect.
_PROGRAM = r"""
while IFS= read -r line; do
    case $line in
        "SELECT '"*) line=${line#*\'}; printf '%s\n' "${line%\';}" ;;
        fails) echo 'ERROR:  it fails' >&2; exit 3 ;;
        '\connect'*) printf '%s\n' "$line" >&2 ;;
    esac
done
"""


@dataclass
class Programs:
    """Starts the program in place of psql, and keeps with which words."""

    target: ClassVar[Target] = "process"
    started: list[Sequence[str]] = field(default_factory=list)

    def pipe(self, words: Sequence[str], *, feed: bool, take: bool) -> Pipe:
        self.started.append(words)
        return Pipe(["sh", "-c", _PROGRAM], {"PATH": os.defpath}, feed=feed, take=take)


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def asked(programs: Programs) -> Iterator[Psql]:
    server = Server(Postgres("db"), cast("Session", cast("Any", programs)), new=True)
    with psql(server, "app", {}) as opened:
        yield opened


def test_one_program_is_told_and_asked_everything(asked: Psql, programs: Programs) -> None:
    assert asked.ask("SELECT 'one';\n") == "one"
    asked.connect("other", {})
    assert asked.run("ANALYZE;") is None
    assert asked.ask("SELECT 'two';\n") == "two"
    assert len(programs.started) == 1


def test_after_an_error_another_program_goes_on_in_the_same_database(asked: Psql, programs: Programs) -> None:
    asked.connect("other", {"search_path": "pg_catalog"})
    assert asked.run("fails") == "ERROR:  it fails"
    assert asked.run("ANALYZE;") is None
    assert [words[-1] for words in programs.started] == [asked._where] * 2
    assert "dbname='other'" in asked._where


def test_a_question_without_an_answer_is_an_error_with_what_it_said(asked: Psql) -> None:
    with pytest.raises(StackError, match="the database app can't be read: ERROR:  it fails") as caught:
        asked.ask("fails\n")
    assert caught.value.code == "query-failed"


def test_what_was_begun_is_undone_if_reading_the_rest_fails(asked: Psql, programs: Programs) -> None:
    def lines() -> Iterator[bytes]:
        yield b"BEGIN;\n"
        raise EOFError("the file ends early")

    with pytest.raises(EOFError):
        asked.run_lines(lines())
    assert asked.ask("SELECT 'one';\n") == "one"
    assert len(programs.started) == 2, "the first one ended with its transaction open"


def test_a_name_of_any_letters_reaches_connect_in_one_line(asked: Psql) -> None:
    asked.ask("SELECT 'one';\n")
    asked.connect("a\"b\\c\nd'e", {})
    complaint = asked.run("fails")
    assert complaint is not None
    written = r"""\connect -reuse-previous=off '"dbname=''a""b\\\\c\nd\\''e'' user="""
    assert complaint.startswith(written), complaint
