"""No input gives a traceback: not on the command line, not in a declaration, not in a stack file."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stackctl
from stack import CachedValue, Postgres, Redis, Stack, WebApp
from stack.cli.app import whole
from stack.declaration import load_stack
from stack.errors import DeclarationError, StackError


def _command_words(group: object) -> Iterator[str]:
    """Give the names of the commands of a group, and of the groups within it."""
    for name, command in getattr(group, "commands", {}).items():
        yield name
        yield from _command_words(command)


COMMANDS = sorted(set(_command_words(typer.main.get_command(whole()))))
OPTIONS = [
    "--port", "--json", "--debug", "--file", "-f", "--instance", "--engine", "--timeout", "--yes", "--plan", "--query",
    "--key", "--tail", "-n", "--exit-code", "--output", "--rollback", "--help", "--version", "--dry-run", "--data",
    "--bundle", "--until", "--watch", "--use-system-binaries", "--", "-", "",
]  # fmt: skip
VALUES = ["0", "-1", "web", "db", "auto", "web=auto", "web=1", "=", "embedded", "compose", "none.py", "1e9", "nan", "/"]
WORDS = st.sampled_from(COMMANDS) | st.sampled_from(OPTIONS) | st.sampled_from(VALUES) | st.text(max_size=12)


@pytest.fixture(scope="module", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of its own, and no program to be found: nothing that a command asks for can be made."""
    folder = tmp_path_factory.mktemp("nowhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", str(folder))
        patch.setenv("STACKCTL_STATE", str(folder / "state"))
        patch.setenv("STACKCTL_ENGINE", "compose")
        yield folder


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(words=st.lists(WORDS, max_size=7))
def test_no_command_line_gives_a_traceback(words: list[str]) -> None:
    # Whatever names another engine could make something.
    words = [word for word in words if word != "embedded"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogatepass") as said_all:
        with contextlib.redirect_stdout(said_all), contextlib.redirect_stderr(said_all):
            exit_code = stackctl.main(words)
        said_all.seek(0)
        said = said_all.read()
    assert exit_code in (0, 1, 2, 3), said
    assert "(bug)" not in said, said
    assert '"code": "bug"' not in said, said
    assert "--debug" in words or "Traceback" not in said, said


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
# The name and a source are always given, for without them nothing else is looked at.
GIVEN = {"name", "source"}
FIELDS: dict[type, list[str]] = {
    kind: sorted(field.name for field in dataclasses.fields(kind) if field.init and field.name not in GIVEN)
    for kind in (Postgres, Redis, WebApp)
}


def test_the_fuzz_knows_the_nested_commands_and_every_field() -> None:
    assert {"up", "upgrade", "snapshot", "restore"} <= set(COMMANDS)
    assert {"version", "migrations"} <= set(FIELDS[Postgres])


@settings(deadline=None, max_examples=200)
@given(data=st.data(), kind=st.sampled_from(list(FIELDS)), name=st.sampled_from(["web", "db"]) | ANYTHING)
def test_a_wrong_declaration_is_a_declaration_error_and_nothing_else(
    data: st.DataObject, kind: type, name: object
) -> None:
    values = {field: data.draw(ANYTHING) for field in data.draw(st.sets(st.sampled_from(FIELDS[kind]), max_size=3))}
    if kind is WebApp:
        values["source"] = data.draw(st.sampled_from([".", "app"]) | ANYTHING)
    with contextlib.suppress(DeclarationError):
        component = kind(name, **values)
        stack = Stack("shop", [component])
        for part in stack.names:
            stack.workload(part, "container")


@settings(deadline=None, max_examples=150)
@given(name=ANYTHING, components=ANYTHING)
def test_a_wrong_stack_is_a_declaration_error_and_nothing_else(name: object, components: object) -> None:
    with contextlib.suppress(DeclarationError):
        Stack(name, components)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=150)
@given(key=ANYTHING, database=ANYTHING, query=ANYTHING)
def test_a_wrong_cached_value_is_a_declaration_error_and_nothing_else(
    key: object, database: object, query: object
) -> None:
    with contextlib.suppress(DeclarationError):
        Redis("cache", inspect=CachedValue(key, database, query))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=60) | st.sampled_from(["stack = 1", "raise SystemExit(3)", "import nothing", "stack"]))
def test_a_stack_file_of_any_text_is_told_with_one_error(text: str, nowhere: Path) -> None:
    file = nowhere / "any.py"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(StackError):
        load_stack(file)
