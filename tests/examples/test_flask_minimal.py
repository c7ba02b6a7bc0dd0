"""The guest book keeps what is written into it."""

from __future__ import annotations

import pytest

from tests.examples.asking import ask
from tests.examples.example import Example

pytestmark = pytest.mark.long


def test_an_entry_is_kept_and_brought_back(example: Example) -> None:
    signed = ask(example.url, form={"name": "Ada", "message": "Hello"})
    assert (signed.status, signed.json["name"]) == (201, "Ada")
    assert ask(example.url, form={"name": "Ada"}).status == 400
    assert [entry["message"] for entry in ask(example.url).json] == ["Hello"]
    example.ok("reset", "--yes")
    example.ok("undo", "--yes")
    example.up()
    assert [entry["message"] for entry in ask(example.url).json] == ["Hello"]
    assert example.pending() == []


def test_the_commands_of_its_readme_work(example: Example) -> None:
    assert '"name":"Ada"' in example.bash("\n".join(example.commands))
