"""Frozen dataclasses as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.encoding import encoded, extended
from stack.workload import PortId


@dataclass(frozen=True)
class Port:
    number: int


@dataclass(frozen=True)
class Change:
    from_: Port | None
    to: Port
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SignedChange(Change):
    signer: str = ""


def test_a_dataclass_becomes_an_object_and_a_tuple_an_array() -> None:
    assert encoded(Change(None, Port(8000), ("a", "b"))) == {"from": None, "to": {"number": 8000}, "notes": ["a", "b"]}


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        (Path("/a b"), "/a b"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        ({PortId("web"): Port(1)}, {"web": {"number": 1}}),
        (True, True),
        (1.5, 1.5),
    ],
)
def test_each_value_has_its_json(value: object, json_value: object) -> None:
    assert json.loads(json.dumps(encoded(value))) == json_value


def test_what_json_has_nothing_for_is_an_error() -> None:
    with pytest.raises(TypeError, match="set"):
        encoded({"names": {"a"}})


def test_an_extended_dataclass_has_the_fields_of_its_base() -> None:
    made = extended(SignedChange, Change(None, Port(1)), signer="me")
    assert made == SignedChange(None, Port(1), signer="me")
    shown: Mapping[str, object] = encoded(made)
    assert list(shown) == ["from", "to", "notes", "signer"]
