"""What a hint names can be typed as it stands, and works."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main

from stack.cli.app import whole
from stack.cli.invocation import Invocation
from stack.errors import UsageError
from stack.findings import Finding
from stack.report import Report
from stack.results.access import LogLines
from stack.results.plans import Obstacle
from stack.workflow.blockers import version_differs
from tests.cli import ROOT


def test_data_of_an_older_version_hints_at_the_upgrade() -> None:
    assert "`stackctl upgrade db --to 18`" in version_differs("db", "PostgreSQL", 17, "18").hint


def test_data_of_a_newer_version_hints_at_its_version_alone() -> None:
    hint = version_differs("db", "PostgreSQL", 18, "17").hint
    assert "version=18" in hint
    assert "upgrade" not in hint


GIVEN = Invocation(Path("my stack.py"), "x", "embedded")
OPTIONS = "--file 'my stack.py' --instance x --engine embedded"


@pytest.mark.parametrize(
    ("said", "completed"),
    [
        ("`stackctl undo` brings it back", f"`stackctl {OPTIONS} undo` brings it back"),
        ("`stackctl up --port 8001`, or `df -h`", f"`stackctl {OPTIONS} up --port 8001`, or `df -h`"),
        (
            "`stackctl --engine compose reset`",
            "`stackctl --file 'my stack.py' --instance x --engine compose reset`",
        ),
        ("`stackctl --instance other stop`", "`stackctl --instance other stop`"),
        ("`stackctl --file '/a b/c.py' --instance d stop`", "`stackctl --file '/a b/c.py' --instance d stop`"),
        ("`STACKCTL_STATE=/a stackctl --instance d stop`", "`STACKCTL_STATE=/a stackctl --instance d stop`"),
        ("`stackctl prune` and `stackctl ls`", "`stackctl prune` and `stackctl ls`"),
        ("`stackctl up --help`", "`stackctl up --help`"),
        ("`up` says", "`up` says"),
    ],
)
def test_a_command_in_a_text_gets_the_options_of_the_call(said: str, completed: str) -> None:
    assert GIVEN.text(said) == completed
    assert Invocation().text(said) == said, "without options it is the same instance"


def test_only_options_that_were_typed_are_repeated() -> None:
    assert Invocation(instance="x").text("`stackctl up`") == "`stackctl --instance x up`"


def test_an_error_keeps_its_exit_code_and_cause() -> None:
    error = UsageError("message", "`stackctl up`")
    error.__cause__ = ValueError()
    completed = GIVEN.error(error)
    assert completed.hint == f"`stackctl {OPTIONS} up`"
    assert (completed.exit_code, completed.__cause__) == (error.exit_code, error.__cause__)


def test_hints_in_data_are_completed_and_nothing_else() -> None:
    finding = Finding("ports", "fail", "`stackctl up`", fix="`stackctl up`")
    data = {"checks": (finding,), "obstacle": Obstacle("not-up", "`stackctl up`", hint="`stackctl up`")}
    completed = GIVEN.report(Report("doctor", "`stackctl up`", data))
    assert completed.text == f"`stackctl {OPTIONS} up`"
    assert completed.data == {
        "checks": (replace(finding, fix=f"`stackctl {OPTIONS} up`"),),
        "obstacle": Obstacle("not-up", "`stackctl up`", hint=f"`stackctl {OPTIONS} up`"),
    }


def test_the_words_of_another_program_are_left_alone() -> None:
    report = Report("logs", "run `stackctl up`", LogLines(("run `stackctl up`",), ()), verbatim=True)
    assert GIVEN.report(report) == report


def texts(tree: ast.AST) -> Iterator[str]:
    """The texts of a module, what is filled in as `{}`; no docstrings."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    left_out = documented | {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


COMMANDS = "|".join(typer.main.get_command(whole()).commands)  # type: ignore[attr-defined]


def test_each_command_that_a_text_names_stands_in_backticks() -> None:
    """So the edge finds it, and completes it."""
    for path in [ROOT / "stackctl.py", *sorted((ROOT / "stack").rglob("*.py"))]:
        source = path.read_text(encoding="utf-8")
        # Most modules name none.
        for text in texts(ast.parse(source)) if "stackctl " in source else ():
            if "\b" in text:  # the help of the whole program, which shows commands to type
                continue
            for found in re.finditer(rf"stackctl (?:--\S+ \S+ )*(?:{COMMANDS})\b", text):
                assert text[found.start() - 1] == "`", f"{path}: {text!r}"
