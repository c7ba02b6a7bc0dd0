"""The JSON schemas of what the commands report, and the page that is made of the same dataclasses."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator

from stack.cli.components import BY_BRANCH
from stack.errors import StackError
from stack.report import SCHEMA, Report, envelope, error_envelope
from stack.results.access import ExecResult
from stack.results.every import LINES, RESULTS, schema_of_command
from stack.results.schema import dataclasses_of, described, schema_of
from stack.workload import PortId
from tests import schemas
from tests.cli import ROOT
from tests.unit.test_consistency import commands

PAGE = ROOT / "docs" / "json-output.md"


@dataclass(frozen=True)
class Leaf:
    """One leaf.

    `name`: its name.
    """

    name: str


@dataclass(frozen=True)
class Tree:
    """A tree.

    It has more than one paragraph.

    `from`: where it is from; \
null if that is not known.
    `leaves`: all of them.
    """

    from_: str | None
    leaves: tuple[Leaf, ...]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, {"type": "string"}),
        (PortId, {"type": "string"}),
        (Path, {"type": "string"}),
        (bool, {"type": "boolean"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (datetime, {"type": "string", "format": "date-time"}),
        (Any, {}),
        (int | None, {"type": ["integer", "null"]}),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (Literal[True], {"const": True}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (str | tuple[str, ...], {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (
            Mapping[Literal["a", "b"], int],
            {
                "type": "object",
                "propertyNames": {"enum": ["a", "b"]},
                "additionalProperties": {"type": "integer"},
            },
        ),
    ],
)
def test_each_type_has_its_schema(annotation: Any, expected: Mapping[str, Any]) -> None:
    assert schema_of(annotation) == expected


def test_a_dataclass_is_defined_once_with_its_docstring() -> None:
    made = schema_of(Tree)
    assert made["$ref"] == "#/$defs/Tree"
    assert made["$defs"] == {
        "Tree": {
            "type": "object",
            "description": "A tree.",
            "required": ["from", "leaves"],
            "properties": {
                "from": {"type": ["string", "null"], "description": "where it is from; null if that is not known"},
                "leaves": {"type": "array", "items": {"$ref": "#/$defs/Leaf"}, "description": "all of them"},
            },
        },
        "Leaf": {
            "type": "object",
            "description": "One leaf.",
            "required": ["name"],
            "properties": {"name": {"type": "string", "description": "its name"}},
        },
    }


def test_a_type_that_json_has_nothing_for_is_an_error() -> None:
    with pytest.raises(TypeError, match="set"):
        schema_of(set[str])


def names() -> set[str]:
    """Every command as it is typed."""
    found = set()
    for name, command in commands().items():
        subcommands: Mapping[str, object] = getattr(command, "commands", {})
        found |= {f"{name} {each}".removesuffix(f" {BY_BRANCH}") for each in subcommands}
        if not subcommands or getattr(command, "invoke_without_command", False):
            found.add(name)
    return found


def test_each_command_has_a_result_unless_it_is_interactive() -> None:
    assert {*RESULTS, *LINES} == names() - {"shell", "watch"}


@pytest.mark.parametrize("command", [*RESULTS, *LINES])
def test_each_schema_is_valid_and_each_field_described(command: str) -> None:
    Draft202012Validator.check_schema(schema_of_command(command, SCHEMA))
    for kind in dataclasses_of(RESULTS.get(command) or LINES[command]):
        assert kind.__doc__, kind
        assert all(each.text for each in described(kind)), kind


EXEC = Report("exec", "", ExecResult(3, "out", ""), exit_code=3)
ERROR = StackError("not-up", "nothing runs", "type `stackctl up`", "its output")


@pytest.mark.parametrize(
    "text", [envelope(EXEC), error_envelope("exec", ERROR), error_envelope(None, ERROR)], ids=["done", "failed", "none"]
)
def test_an_envelope_is_as_its_schema_says(text: str) -> None:
    assert schemas.first_problem("exec", parsed(text)) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"command": "up"},
        {"schema": SCHEMA + 1},
        {"ok": None},
        {"data": {}},
        {"data": {"exit_code": "3", "stdout": "", "stderr": ""}},
        {"error": {"code": "not-up", "message": "", "hint": ""}},
    ],
)
def test_an_envelope_that_differs_from_its_schema_is_found(change: Mapping[str, object]) -> None:
    assert schemas.first_problem("exec", {**parsed(envelope(EXEC)), **change})


def test_the_page_about_json_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "json_output.py"))["page"]
    assert PAGE.read_text(encoding="utf-8") == page(), "`make json-docs` writes it again"


def test_the_page_about_json_links_to_what_it_has() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = {line.removeprefix("### ").lower() for line in text.splitlines() if line.startswith("### ")}
    links = {part.partition(")")[0] for part in text.split("](#")[1:]}
    assert links <= headings


def parsed(text: str) -> dict[str, Any]:
    value = json.loads(text)
    assert isinstance(value, dict)
    return value
