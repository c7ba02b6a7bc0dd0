"""Write docs/json-output.md from the dataclasses of stack/results, which are what `--json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stack.report import SCHEMA
from stack.results.access import LogEntry
from stack.results.every import LINES, RESULTS
from stack.results.schema import Schema, dataclasses_of, described, schema_of, summary_of

PAGE = Path(__file__).with_name("json-output.md")
_HEAD = f"""# JSON output

Generated from `stack/results/` by `make json-docs`; a test compares the two.

`--json` prints one object on standard output:

| field | type | meaning |
|---|---|---|
| `schema` | `{SCHEMA}` | another number if a field is removed or changes its meaning, but not if one is added |
| `command` | string or null | the command as it is typed; null if the options can't be read |
| `ok` | boolean | whether the exit code is 0 |
| `data` | object | what the command reports, see below; empty if it failed |
| `error` | object or null | null if the command completed; else `code`, `message`, `hint` and possibly `output` |

`stackctl schema COMMAND` prints a JSON schema of it (draft 2020-12), such as `stackctl schema snapshot list`.

## Commands

| command | `data` |
|---|---|
"""


def page() -> str:
    """Return the whole page."""
    commands = [f"| `stackctl {command}` | {_type(schema_of(kind))} |" for command, kind in RESULTS.items()]
    lines = [f"| `stackctl {command}` | JSON lines: {_type(schema_of(kind))} |" for command, kind in LINES.items()]
    lines.append(f"| `stackctl logs --follow` | JSON lines: {_type(schema_of(LogEntry))} |")
    kinds = dict.fromkeys(each for kind in [*RESULTS.values(), *LINES.values()] for each in dataclasses_of(kind))
    types = [_section(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)]
    return _HEAD + "\n".join([*commands, *lines, "", "## Types", "", *types])


def _section(kind: Any) -> str:
    rows = [f"| `{each.key}` | {_type(schema_of(each.annotation))} | {_cell(each.text)} |" for each in described(kind)]
    head = [f"### {kind.__name__}", "", summary_of(kind), "", "| field | type | meaning |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _type(schema: Schema) -> str:
    """Return a type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{_literal(value)}`" for value in schema.get("enum", [schema.get("const")]))
    return " or ".join(_named(name, schema) for name in _names(schema))


def _names(schema: Schema) -> Iterator[str]:
    names = schema.get("type", "any")
    yield from [names] if isinstance(names, str) else names


def _named(name: str, schema: Mapping[str, Any]) -> str:
    if name == "array":
        return f"array of {_grouped(schema['items'])}"
    if "additionalProperties" in schema:
        keys = f" by {_type(schema['propertyNames'])}" if "propertyNames" in schema else ""
        return f"object of {_grouped(schema['additionalProperties'])}{keys}"
    return name


def _grouped(schema: Schema) -> str:
    alternatives = "anyOf" in schema or not isinstance(schema.get("type", ""), str)
    return f"({_type(schema)})" if alternatives else _type(schema)


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
