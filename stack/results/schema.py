"""Make JSON schemas (draft 2020-12) of the dataclasses that the commands report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stack.encoding import key_of
from stack.frozen import dataclass

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]

_SCALARS: Mapping[type, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    Path: {"type": "string"},
    NoneType: {"type": "null"},
}
_FIELD_LINE = re.compile(r"^`(\w+)`: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Described:
    """A field of a dataclass as JSON has it."""

    key: str
    annotation: Any
    text: str


def schema_of(annotation: Any) -> Schema:
    """Return the schema of a type, which has the dataclasses of which it is made in `$defs`."""
    definitions = {kind.__name__: _object(kind) for kind in dataclasses_of(annotation)}
    return _with_definitions(_schema(annotation), definitions)


def envelope_schema(command: str, data: Any, version: int) -> Schema:
    """Return the schema of what a command prints with `--json`, whether it completed or failed."""
    whole = schema_of(data)
    definitions = whole.pop("$defs", {}) | {"Error": _error()}
    envelope: Schema = {
        "$schema": DIALECT,
        "title": f"stackctl {command} --json",
        "type": "object",
        "required": ["schema", "command", "ok", "data", "error"],
        "properties": {"schema": {"const": version}, "ok": {"type": "boolean"}},
        "oneOf": [
            {
                "title": "completed",
                "properties": {"command": {"const": command}, "data": whole, "error": {"type": "null"}},
            },
            {
                "title": "failed",
                "properties": {
                    "command": {"enum": [command, None], "description": "null if the options can't be read"},
                    "ok": {"const": False},
                    "data": {"type": "object", "maxProperties": 0},
                    "error": {"$ref": "#/$defs/Error"},
                },
            },
        ],
    }
    return _with_definitions(envelope, definitions)


def line_schema(command: str, line: Any) -> Schema:
    """Return the schema of each line that a command prints."""
    return {"$schema": DIALECT, "title": f"a line of stackctl {command}", **schema_of(line)}


def dataclasses_of(annotation: Any) -> tuple[Any, ...]:
    """List the dataclasses of which a type is made, each once, in the order in which they occur."""
    found: dict[Any, None] = {}
    _collect(annotation, found)
    return tuple(found)


def described(kind: Any) -> tuple[Described, ...]:
    """List the fields of a dataclass, with the lines of its docstring about them."""
    hints, texts = get_type_hints(kind), _field_texts(kind)
    return tuple(Described(key_of(each), hints[each.name], texts[key_of(each)]) for each in _fields(kind))


def summary_of(kind: Any) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join((kind.__doc__ or "").strip().partition("\n\n")[0].split())


def _collect(annotation: Any, found: dict[Any, None]) -> None:
    if is_dataclass(annotation):
        if annotation not in found:
            found[annotation] = None
            for hint in get_type_hints(annotation).values():
                _collect(hint, found)
    elif get_origin(annotation) is not Literal:
        for each in get_args(annotation):
            _collect(each, found)


def _schema(annotation: Any) -> Schema:
    if annotation is Any:
        return {}
    if is_dataclass(annotation):
        return {"$ref": f"#/$defs/{annotation.__name__}"}  # type: ignore[union-attr]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"enum": list(arguments)} if len(arguments) > 1 else {"const": arguments[0]}
    if origin in (Union, UnionType):
        return _one_of([_schema(each) for each in arguments])
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _schema(arguments[0])}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*arguments)
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if isinstance(annotation, type) and issubclass(annotation, str):
        return {"type": "string"}
    raise TypeError(f"a JSON schema has nothing for {annotation!r}")


def _one_of(schemas: list[Schema]) -> Schema:
    """Return the schema of alternatives; those that are plain types need no more than the list of their names."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _mapping(key: Any, value: Any) -> Schema:
    names: Schema = {"propertyNames": _schema(key)} if get_origin(key) is Literal else {}
    return {"type": "object", **names, "additionalProperties": _schema(value)}


def _object(kind: Any) -> Schema:
    properties = {each.key: {**_schema(each.annotation), "description": each.text} for each in described(kind)}
    text = {"description": summary} if (summary := summary_of(kind)) else {}
    return {"type": "object", **text, "required": list(properties), "properties": properties}


def _error() -> Schema:
    texts = {
        "code": "what went wrong, as listed in docs/errors.md",
        "message": "what went wrong and why, for people",
        "hint": "what to type or do next",
        "output": "the output of another program that failed",
    }
    properties = {name: {"type": "string", "description": text} for name, text in texts.items()}
    return {"type": "object", "required": ["code", "message", "hint"], "properties": properties}


def _with_definitions(schema: Schema, definitions: Schema) -> Schema:
    return {**schema, "$defs": definitions} if definitions else schema


def _fields(kind: Any) -> tuple[Field[Any], ...]:
    return fields(kind)


def _field_texts(kind: Any) -> dict[str, str]:
    return {name: text for base in reversed(kind.__mro__) for name, text in _lines(base)}


def _lines(kind: type) -> Iterator[tuple[str, str]]:
    """Read "`name`: text." of a docstring."""
    for name, text in _FIELD_LINE.findall(re.sub(r"\n[ \t]+", "\n", kind.__doc__ or "")):
        yield name, text.removesuffix(".")
