"""The pages of the documentation: what they tell to type is understood, and what is generated is up to date."""

from __future__ import annotations

import functools
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from stack.cli.app import whole
from tests.cli import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(?:sh|bash|console|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What follows a command on its line.
_NEXT = re.compile(r"\s(?:&&|\||;|>|#)(?:\s|$)")


def typed() -> Iterator[tuple[str, str]]:
    """Each line with a command of ours, and its page."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if line.startswith("stackctl ") and "[OPTIONS]" not in line and "…" not in line:
                    yield page.name, _NEXT.split(line)[0]


@functools.cache
def program() -> Any:
    return typer.main.get_command(whole())


@pytest.mark.parametrize(("page", "line"), sorted(set(typed())))
def test_each_command_of_a_page_is_understood(page: str, line: str) -> None:
    command = program()
    words = shlex.split(line)[1:]
    context = command.make_context("stackctl", words)
    while hasattr(command, "commands") and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"{page}: {line}: there is no command {name}"
        context = command.make_context(name, rest, parent=context)
    assert context.command.callback is not None, f"{page}: {line} names no command"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["components.md", "command-line.md"])
def test_the_reference_is_up_to_date(reference: ModuleType, page: str) -> None:
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert reference.PAGES[page]() == written, "`make reference` writes it anew"


def test_the_reference_has_everything_that_is_public(reference: ModuleType) -> None:
    shown = set(re.findall(r"^##+ (?:health\.)?(\w+)$", reference.components(), re.MULTILINE))
    import stack

    # Names for a command, and an error.
    assert set(stack.__all__) - shown == {"BIND", "PORT", "DeclarationError"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_each_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in navigation, f"{page.name} is not in mkdocs.yml"


def test_no_page_is_cut_off() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("```") % 2 == 0, f"{page.name}: a block does not end"
        assert text.endswith("\n"), page.name
    assert Path(ROOT / "LICENSE").read_text().startswith("MIT License")
