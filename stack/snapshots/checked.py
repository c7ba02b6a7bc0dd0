"""Read JSON that may be forged: a value is of the kind and size that is asked for, or a `ValueError` names it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

MOST = 2**63 - 1
# Enough for the name of any object of PostgreSQL, quoted and with its schema, and for any value that it may be set to.
_MOST_TEXT = 100_000
_PLAIN = r"[^\x00-\x1f\x7f-\x9f]*"


class Part:
    """A JSON object, or an array of them. `path` says where it is: `components.db.databases[0]`."""

    def __init__(self, value: object, path: str = "") -> None:
        self._value = value
        self._path = path

    @classmethod
    def read(cls, text: str) -> Part:
        return cls(json.loads(text))

    def only(self, required: Collection[str], optional: Collection[str] = ()) -> None:
        """Require these keys and no others."""
        there = self._object().keys()
        if missing := sorted(set(required) - there):
            raise ValueError(f"{self._at(missing[0])} is missing")
        if more := sorted(there - set(required) - set(optional)):
            raise ValueError(f"{self._at(more[0])[:80]!r} is unknown")

    def has(self, key: str) -> bool:
        return key in self._object()

    def is_set(self, key: str) -> bool:
        """Whether it is something else than null."""
        return self._get(key) is not None

    def text(self, key: str, pattern: str = _PLAIN) -> str:
        """A text that the whole of `pattern` describes; without one a text without control characters."""
        value = self._get(key)
        if not isinstance(value, str) or len(value) > _MOST_TEXT or not re.fullmatch(pattern, value, re.DOTALL):
            raise self._wrong(key)
        return value

    def name(self, key: str, most: int = 1000) -> str:
        """A name of PostgreSQL: it may hold anything but a zero."""
        value = self.text(key, r"[^\x00]+")
        if len(value) > most:
            raise self._wrong(key)
        return value

    def whole(self, key: str, least: int = 0, most: int = MOST) -> int:
        value = self._get(key)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(key)
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if type(value) is not bool:
            raise self._wrong(key)
        return value

    def part(self, key: str) -> Part:
        part = Part(self._get(key), self._at(key))
        part._object()
        return part

    def plain(self, key: str | None = None) -> dict[str, Any]:
        """The object itself, or that of a key, unchecked but for being one."""
        return dict(self._object() if key is None else self.part(key)._object())

    def names(self, pattern: str = _PLAIN) -> Iterator[str]:
        """The keys of an object whose keys are names."""
        for key in self._object():
            if not re.fullmatch(pattern, key, re.DOTALL):
                raise ValueError(f"{self._at(key)[:80]!r} is no name")
            yield key

    def parts(self, key: str) -> Iterator[Part]:
        value = self._get(key)
        if not isinstance(value, list):
            raise self._wrong(key)
        for number, each in enumerate(value):
            yield Part(each, f"{self._at(key)}[{number}]")

    def _get(self, key: str) -> object:
        value = self._object()
        if key not in value:
            raise ValueError(f"{self._at(key)} is missing")
        return value[key]

    def _object(self) -> Mapping[str, Any]:
        if not isinstance(self._value, dict):
            raise ValueError(f"{self._path or 'it'} is no object")
        return self._value

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _wrong(self, key: str) -> ValueError:
        shown = repr(self._object()[key])
        return ValueError(
            f"{self._at(key)}: {shown if len(shown) <= 60 else shown[:60] + '…'} is not what belongs there"
        )
