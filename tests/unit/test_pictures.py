"""The README's pictures can be shown anywhere: they are small, whole, and fetch nothing."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
TERMINALS = ("inspect", "status", "up")


def test_there_are_all_that_the_script_makes_and_each_is_small() -> None:
    sizes = {file.name: file.stat().st_size for file in PICTURES.iterdir()}
    assert sizes.keys() == {"page.png", *(f"{name}.svg" for name in TERMINALS)}
    assert {name: size for name, size in sizes.items() if not 0 < size < 150_000} == {}


@pytest.mark.parametrize("command", TERMINALS)
def test_a_terminal_shows_its_command_and_asks_nothing(command: str) -> None:
    text = (PICTURES / f"{command}.svg").read_text(encoding="utf-8")
    words = "".join(ElementTree.fromstring(text).itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert f"$ stackctl {command}" in words
    assert set(re.findall(r"""(?:url\(|=")(https?:[^")]*)""", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text


def test_a_picture_shows_what_stands_there_when_lines_have_moved() -> None:
    written = "$\n\r\x1b[2Kdb  starting\n\x1b[J\r\x1b[1A\x1b[2Kdb  \x1b[32mhealthy\x1b[0m\n\x1b[Jup\n"
    settled = runpy.run_path(str(PICTURES.with_suffix(".py")))["settled"]
    assert settled(written) == "$\ndb  \x1b[32mhealthy\x1b[0m\nup\n"
