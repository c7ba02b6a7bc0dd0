"""The fixtures for tests of a project: an instance for the run, a database for each test, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import ROOT, eventually
from tests.conformance.engines import on_docker_at_length, on_one_engine
from tests.project import make_project

STACK = """
from stack import Postgres, Stack
stack = Stack("shop", [Postgres("orders", user="shop", database="shop", migrations="migrations")])
"""
MIGRATION = "CREATE TABLE item (name text PRIMARY KEY);\nINSERT INTO item VALUES ('given');\n"
TESTS = """
import pytest

def names(database):
    connection = database.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT name FROM item ORDER BY name")
        found = [name for name, in cursor]
    connection.close()
    return found

@pytest.mark.parametrize("number", range(6))
def test_each_test_begins_with_what_the_migrations_made(stack_database, number):
    assert names(stack_database) == ["given"]
    connection = stack_database.connect()
    connection.cursor().execute("INSERT INTO item VALUES ('own')")
    connection.commit()
    # It stays open: the database goes all the same.
    assert names(stack_database) == ["given", "own"]
    open(f"by-{stack_database.name}", "w").close()

@pytest.mark.parametrize("number", range(4))
def test_a_worker_keeps_its_database(stack_worker_database, number):
    assert "given" in names(stack_worker_database)

def test_commands_run_on_it(stack):
    assert stack.run("status")["state"] == "up"
    assert stack.urls["orders"].endswith("/shop")
"""
ENDLESS = """
import threading

def test_it_never_ends(stack, tmp_path):
    with open("ready", "w") as ready:
        ready.write(stack.name)
    threading.Event().wait()
"""


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Instances of one list get no port of another, and here workers make some at once.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp().parent / "tested-state"))
    files = {"stackfile.py": STACK, "migrations/0001_item.sql": MIGRATION, "test_it.py": TESTS}
    return make_project(tmp_path_factory, "tested", files)


def environment(project: Path, engine: str) -> dict[str, str]:
    foreign = ("STACKCTL_", "PYTEST_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return own | {"PYTHONPATH": str(ROOT), "STACKCTL_STATE": str(project / ".state"), "STACKCTL_ENGINE": engine}


def command(engine: str, *words: str) -> list[str]:
    plugin = ["-p", "stack.pytest_plugin"] if not _installed() else []
    without = ["-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest"]
    return [sys.executable, "-m", "pytest", *plugin, "-q", *without, "--stack-engine", engine, *words]


def _installed() -> bool:
    from importlib.metadata import entry_points

    return any(each.value == "stack.pytest_plugin" for each in entry_points(group="pytest11"))


def instances(project: Path, engine: str) -> list[str]:
    """What there is of this project."""
    words = [sys.executable, str(ROOT / "stackctl.py"), "--json", "ls"]
    ended = subprocess.run(words, cwd=project, env=environment(project, engine), capture_output=True, check=True)
    return [
        each["instance"] for each in json.loads(ended.stdout)["data"]["instances"] if str(project) in str(each["file"])
    ]


@on_docker_at_length
def test_each_test_has_its_database_and_nothing_is_left(project: Path, engine: str) -> None:
    ended = subprocess.run(
        command(engine, "-n", "2", "--dist", "each"), cwd=project, env=environment(project, engine),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "22 passed" in ended.stdout, ended.stdout
    made = {path.name.removeprefix("by-test_").rpartition("_")[0] for path in project.glob("by-*")}
    assert made == {"gw0", "gw1"}
    assert instances(project, engine) == []
    assert [path.name for path in (project / ".state").glob("pytest-*")] == []


@on_docker_at_length
def test_a_killed_run_leaves_nothing(project: Path, engine: str) -> None:
    (project / "test_it.py").write_text(ENDLESS)
    with subprocess.Popen(command(engine), cwd=project, env=environment(project, engine)) as running:
        eventually(lambda: (project / "ready").exists() and (project / "ready").read_text() != "", within=120)
        name = (project / "ready").read_text()
        assert name in instances(project, engine)
        running.send_signal(signal.SIGKILL)
    eventually(lambda: not (project / ".state" / name).exists(), within=120)
    assert instances(project, engine) == []


@on_docker_at_length
def test_a_stack_that_does_not_start_is_one_clear_error(project: Path, engine: str) -> None:
    (project / "migrations" / "0002_wrong.sql").write_text("SELECT nothing;\n")
    ended = subprocess.run(
        command(engine), cwd=project, env=environment(project, engine),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert 'column "nothing" does not exist' in ended.stdout
    assert "Traceback" not in ended.stdout
    assert instances(project, engine) == []


@pytest.mark.long
@on_one_engine
def test_of_several_databases_one_has_to_be_named(project: Path, engine: str) -> None:
    several = STACK.replace("[Postgres(", '[Postgres("users"), Postgres(')
    (project / "stackfile.py").write_text(several)
    words = ("-k", "begins_with and 0")
    ended = subprocess.run(
        command(engine, *words), cwd=project, env=environment(project, engine),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "shop has several databases: users, orders\nwrite `stackctl_database = users`" in ended.stdout, ended.stdout
    assert list(project.glob(".state/*/")) == [], "nothing was brought up"
    ended = subprocess.run(
        command(engine, *words, "-o", "stackctl_database=orders"), cwd=project, env=environment(project, engine),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout
    assert instances(project, engine) == []
