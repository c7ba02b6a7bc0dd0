"""What of the folder of an app belongs to it: the same for what is built of it and for what a plan compares."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.sources import read_files
from tests.cli import Cli
from tests.conformance.engines import on_compose
from tests.conformance.test_failures import answering, stack_file
from tests.images import files_in, secrets_in

Make = Callable[..., Cli]

# As `stackctl --help` shows it, and with it a Dockerfile that takes all that it gets.
STACK = """\
from stack import Postgres, Stack, WebApp

db = Postgres("db", migrations="migrations")
web = WebApp("web", source=".", command=["python3", "app.py"], uses=[db],
             environment={"PLACE": f"http://{db.host}:{db.port}/"})
stack = Stack("shop", [web, db])
"""
RULES = "!**\n*.log\n!node_modules/kept\n"
MADE_BY_TOOLS = ("node_modules/vite/a.js", ".venv/bin/x", ".git/HEAD", "deep/__pycache__/x.pyc", "deep/node_modules/b")
OWN = ("app.py", "shop.py", "deep/own.py", "node_modules/kept/c.js")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Path:
    folder = tmp_path_factory.mktemp("here")
    folder.chmod(0o755)
    for name in (*MADE_BY_TOOLS, *OWN, "noise.log"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "migrations").mkdir()  # as on the first day: there is none yet
    (folder / "shop.py").write_text(STACK)
    (folder / "app.py").write_text(answering(200))
    (folder / "Dockerfile").write_text("FROM python:3.14-slim\nWORKDIR /app\nCOPY . .\n")
    (folder / ".dockerignore").write_text(RULES)
    return folder


@pytest.fixture(scope="module")
def up(here: Path, engine: str) -> object:
    # What an old shell may still say: that builder knows nothing of what stackctl leaves out.
    cli = Cli(here, file=here / "shop.py", engine=engine, environment={"DOCKER_BUILDKIT": "0"})
    try:
        cli.up()
        # Only now are there secrets that an image could hold.
        (here / "deep" / "own.py").write_text("changed")
        cli.up()
        yield cli
    finally:
        cli.reset()


def test_a_stack_in_the_folder_of_its_app_has_nothing_to_do_after_up(up: Cli) -> None:
    assert up.pending() == []
    assert up.up()["changed"] is False


def test_what_tools_make_restarts_nothing(up: Cli, here: Path) -> None:
    (here / "node_modules" / ".vite").mkdir()
    (here / "node_modules" / ".vite" / "deps.json").write_text("{}")
    assert up.pending() == []


def test_a_reference_in_a_text_is_what_it_stands_for(up: Cli) -> None:
    shown = up.ok("exec", "web", "--", "sh", "-c", 'echo "$PLACE = http://$DB_HOST:$DB_PORT/"').stdout
    place, _, expected = shown.strip().partition(" = ")
    assert place == expected
    assert re.fullmatch(r"http://[\w.]+:\d+/", place)


@on_compose
def test_an_image_holds_no_secret_and_what_its_source_is(up: Cli, here: Path) -> None:
    image = up.data("env")["COMPOSE_PROJECT_NAME"] + "-web"
    assert secrets_in(image, up) == []
    held = files_in(image, "app")
    assert {*OWN} <= held
    assert held == {*read_files(here, here / ".stackctl", {}, "shop/web/source")}


@on_compose
def test_an_image_that_holds_a_secret_is_found(up: Cli, tmp_path: Path) -> None:

    shutil.copytree(up.state / "secrets", tmp_path / "secrets")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . .\n")
    built = subprocess.run(
        ["docker", "build", "--quiet", tmp_path], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()
    try:
        assert secrets_in(built, up) == ["db_password"]
    finally:
        subprocess.run(["docker", "image", "rm", built], capture_output=True, check=True)


@pytest.mark.parametrize("source", ["gone", "a-file"])
def test_a_source_that_is_no_folder_is_told_before_anything_is_made(new_cli: Make, tmp_path: Path, source: str) -> None:
    (tmp_path / "a-file").touch()
    file = stack_file(tmp_path, f"web = WebApp('web', source={source!r}, command=['true'])", "web")
    cli = new_cli(file=file)
    for command in ("plan", "up"):
        assert (
            f"shop/web/source: {tmp_path / source} "
            in cli.fails(command, code="declaration-invalid", exit_code=2)["message"]
        )
    assert not cli.state.exists()
