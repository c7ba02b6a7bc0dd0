"""Make JSON of values: of frozen dataclasses, and of what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")


def encoded(value: object) -> Any:
    """Return what JSON has for a value: an object for a dataclass or a mapping, an array for a tuple, else a scalar."""
    if is_dataclass(value):
        return {key_of(each): encoded(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encoded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"JSON has nothing for a {type(value).__name__}")


def key_of(field: Field[Any]) -> str:
    """Return the key of a field in JSON. A word that Python reserves has an underscore there: `from_`."""
    return field.name.removesuffix("_")


def extended(kind: type[Made], base: object, **more: object) -> Made:
    """Make a dataclass of the fields of another one, which it has too, and its own."""
    assert is_dataclass(base)  # noqa: S101 - each caller passes one
    return kind(**{each.name: getattr(base, each.name) for each in fields(base)}, **more)
