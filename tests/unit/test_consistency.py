"""What has to be said in two places is said in both: this names what was forgotten."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import typer.main

import stack
from service.config import VARIABLES
from stack.cli.app import whole
from stack.component import Component
from stack.components.postgres import Postgres
from stack.components.redis import Redis
from stack.engines import ENGINES
from stack.version import __version__
from tests.cli import ROOT

DOCS = ROOT / "docs"
GENERATED = ("components.md", "command-line.md", "json-output.md")
# What is written by hand.
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.glob("*.md")) if page.name not in GENERATED)]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
GOLDEN = ROOT / "tests" / "golden"


def modules(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"}


def sources() -> list[Path]:
    return [ROOT / "stackctl.py", *(ROOT / "stack").rglob("*.py")]


def test_each_kind_of_component_is_public_and_in_the_documentation() -> None:
    folders = {path.parent.name for path in (ROOT / "stack" / "components").glob("*/__init__.py")}
    public = [getattr(stack, name) for name in stack.__all__]
    kinds = [each for each in public if isinstance(each, type) and issubclass(each, Component)]
    assert {kind.__module__.split(".")[2] for kind in kinds} == {*modules("stack/components"), *folders}
    for kind in kinds:
        assert f"{kind.__name__}(" in TEXT, f"no page shows {kind.__name__}"


def test_each_engine_has_one_folder_and_one_line_in_the_registry() -> None:
    folders = {path.parent.name for path in (ROOT / "stack" / "engines").glob("*/driver.py")}
    assert set(ENGINES) == folders
    for name in ENGINES:
        assert (ROOT / "stack" / "engines" / name / "render.py").is_file()
        assert list(GOLDEN.glob("playground.*")), f"no golden file shows the playground on {name}"
        assert f"{name}/" in TEXT, f"no page tells of {name}"


def test_what_decides_above_the_engines_names_none_of_them() -> None:
    for folder in ("commands", "workflow", "verdict", "snapshots"):
        for path in (ROOT / "stack" / folder).rglob("*.py"):
            constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
            assert not ENGINES.keys() & {each for each in constants if isinstance(each, str)}, f"{path}: ask its traits"


def commands() -> dict[str, object]:
    group = typer.main.get_command(whole())
    found: dict[str, object] = dict(getattr(group, "commands", {}))
    return found


def test_each_command_is_in_the_documentation_and_has_a_help() -> None:
    for name, command in commands().items():
        assert re.search(rf"stackctl (?:--\S+ \S+ )?{name}\b", TEXT), f"no page runs `stackctl {name}`"
        assert getattr(command, "help", None), f"`stackctl {name} --help` says nothing"


def error_codes() -> set[str]:
    """What the code gives to its errors, by the position of the code among a call's arguments."""
    positions = {
        "StackError": 0,
        "FileError": 0,
        "too_old": 0,
        "Known": 1,
        "_Known": 1,
        "Failure": 1,
        "classify": 1,
        "broke": 0,
        "explaining": 0,
    }
    found = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                position = positions.get(name, 99)
                if len(node.args) > position and isinstance(argument := node.args[position], ast.Constant):
                    found.add(str(argument.value))
            # What is wrong with a cluster is found as a value, a code and a message.
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and node.value.elts:
                first = node.value.elts[0]
                if isinstance(first, ast.Constant) and re.fullmatch(r"data-[a-z]+", str(first.value)):
                    found.add(str(first.value))
    return found


def test_each_error_code_is_documented_and_each_documented_one_exists() -> None:
    (table,) = re.findall(
        r"^\| code \| what happened \| what to type or do \|\n(.*?)\n(?:\n|\Z)", TEXT, re.MULTILINE | re.DOTALL
    )
    rows = [code for row in table.splitlines()[1:] for code in re.findall(r"`([a-z-]+)`", row.split("|")[1])]
    told = set(rows)
    assert len(told) == len(rows), "each code has one row, and means one thing"
    assert told == error_codes() | {"usage", "declaration-invalid", "interrupted"}


def test_each_variable_that_is_read_is_documented() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources())
    # What an engine gives to its own redis-cli, marks processes with, and tells a schedule, is not for users.
    read = set(re.findall(r"\"(STACKCTL_(?!REDIS_|RUN|SCHEDULE)[A-Z_]+)\"", text))
    told = set(re.findall(r"^\| `(STACKCTL_[A-Z_]+)`", TEXT, re.MULTILINE))
    assert told == read


def test_the_stack_gives_the_variables_that_the_service_reads() -> None:
    given = {f"DB_{suffix}" for suffix in Postgres("db").exports("container")}
    given |= {f"CACHE_{suffix}" for suffix in Redis("cache").exports("container")}
    assert given <= set(VARIABLES)
    assert set(VARIABLES) - given <= {"CACHE_TTL", "CACHE_PASSWORD_FILE"}


def test_the_image_of_the_service_installs_what_the_project_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = (ROOT / "service" / "requirements.txt").read_text(encoding="utf-8").split()
    assert set(wanted) <= set(project["dependencies"]), "service/requirements.txt and pyproject.toml differ"


def test_a_page_says_what_is_in_each_module_of_the_service() -> None:
    section = (DOCS / "visit-counter.md").read_text(encoding="utf-8").partition("To copy it,")[2]
    assert set(re.findall(r"`(\w+)\.py`", section)) == modules("service") | {"__init__"}


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
