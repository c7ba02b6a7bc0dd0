"""What is written for Docker is read by it as it was: a text stays a text, whatever number it looks like."""

from __future__ import annotations

import pytest

from stack.engines.docker.project_text import read_project, write_project

# As Docker's own reader takes them without quotes; a digest of twelve digits in hexadecimal may be the second.
NUMBERS = (
    "12e5",
    "334676930e17",
    "1.5E3",
    "+1e3",
    ".5",
    "-.5e-1",
    "0o17",
    "0b11",
    "1_000",
    "7",
    "0x1F",
    "y",
    "N",
    "yes",
)
TEXTS = ("1e", "127.0.0.1", "8000:8000", "1.2.3", "nay", "e5", "3ca12278d0f", "redis:8")


@pytest.mark.parametrize("text", NUMBERS)
def test_a_text_that_looks_like_a_number_is_quoted(text: str) -> None:
    assert write_project({"value": text}) == f"value: '{text}'\n"


@pytest.mark.parametrize("text", TEXTS)
def test_any_other_text_is_written_as_it_is(text: str) -> None:
    assert write_project({"value": text}) == f"value: {text}\n"


def test_numbers_and_truths_are_none_of_texts() -> None:
    project = {"count": 5, "share": 0.5, "on": True, "large": 1e300, "none": None}
    assert read_project(write_project(project)) == project
    assert "count: 5\nshare: 0.5\n'on': true\n" in write_project(project)
