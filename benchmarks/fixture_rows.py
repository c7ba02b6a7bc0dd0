"""The row of a database for each test: the plugin's, beside pytest-postgresql and migrations that run for each test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.figures import Figure, Result, Target, ratio
from benchmarks.instance import ROOT, STACKCTL, CommandFailed
from benchmarks.session import Session

# What the plugin calls an instance that is kept.
_INSTANCE = "pytest"
_MIGRATIONS = 40
# It needs psycopg 3 and is loaded by every pytest that finds it, so it gets an environment of its own.
_PEER = ("pytest-postgresql>=10,<11", "psycopg[binary]>=3.2,<4", "pytest>=9,<10")
_TESTS = Path(__file__).parent / "fresh"
_STACK = """\
from stack import Postgres, Stack
settings = {"autovacuum": "off"}
stack = Stack("shop", [Postgres("db", user="shop", database="shop", migrations="migrations", settings=settings)])
"""
_MIGRATION = """\
CREATE TABLE item_{n} (id int PRIMARY KEY, other int REFERENCES item_{before}, name text NOT NULL, at timestamptz);
CREATE INDEX ON item_{n} (name);
CREATE INDEX ON item_{n} (at);
INSERT INTO item_{n} SELECT i, i, md5(i::text), now() FROM generate_series(1, 100) AS i;
"""


@dataclass(frozen=True)
class _Project:
    """A project with tests. `peer`: the Python that has pytest-postgresql; `variables` say where its database is."""

    folder: Path
    engine: str
    peer: Path
    tests: int
    variables: dict[str, str] = field(default_factory=dict)

    def seconds(self, python: Path | str, file: str, *words: str) -> float:
        """Run the tests of a file, and return the seconds that each took, with its database."""
        took = self.folder / "seconds"
        took.unlink(missing_ok=True)
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *words, file]
        _run(command, self.folder, self.variables | {"TOOK": str(took), "TESTS": str(self.tests)})
        return float(took.read_text())

    def plugin(self) -> float:
        loaded = () if _installed() else ("-p", "stack.pytest_plugin")
        kept = ("--stack-keep", "--stack-engine", self.engine)
        return self.seconds(sys.executable, "clone.py", *_WITHOUT, *loaded, *kept)

    def migrated(self) -> float:
        return self.seconds(sys.executable, "migrate.py", *_WITHOUT)

    def peers(self) -> float:
        return self.seconds(self.peer, "peer.py")


# Plugins of our own tests that a project need not have.
_WITHOUT = ("-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:xdist")


def fresh_database(session: Session) -> Result:
    """A migrated database for a test of its own, from its start to its end."""
    with _project(session) as project:
        measures = {"a clone": project.plugin, "pytest-postgresql": project.peers, "migrated": project.migrated}
        values: dict[str, list[float]] = {name: [] for name in measures}
        for _ in range(1 + session.rounds):
            for name, measure in measures.items():
                values[name].append(measure())
    clone, peer, migrated = (Figure(name, "s", tuple(each[1:])) for name, each in values.items())
    return Result(
        "fresh-database",
        f"a database for each test, of {_MIGRATIONS} migrations, {session.engine}",
        (clone, peer, migrated),
        (
            ratio("pytest-postgresql with its template", Target(1.1, "at most"), clone, peer),
            ratio("its migrations run for each test", Target(0.5, "at most"), clone, migrated),
        ),
        ("without autovacuum: pytest-postgresql fails if it may not end what vacuums its template",),
    )


@contextmanager
def _project(session: Session) -> Iterator[_Project]:
    """A project in a folder of its own, with its stack up; nothing is left of it."""
    with tempfile.TemporaryDirectory(prefix="stackctl-bench-") as name:
        folder = Path(name)
        _write(folder)
        peer = folder / "peer" / "bin" / "python"
        _run([sys.executable, "-m", "venv", "peer"], folder)
        _run([str(peer), "-m", "pip", "install", "--quiet", *_PEER], folder)
        project = _Project(folder, session.engine, peer, 5 if session.rounds == 1 else 20)
        project.variables["STACKCTL_STATE"] = str(folder / "state")
        project.variables["PYTHONPATH"] = str(ROOT)
        options = ["--file", "stackfile.py", "--instance", _INSTANCE, "--engine", session.engine]
        try:
            # It makes the instance, lets its user create databases, and leaves both.
            project.plugin()
            project.variables.update(_database(project, options))
            yield project
        finally:
            _run([*STACKCTL, *options, "reset", "--yes", "--no-snapshot"], folder, project.variables)


def _write(folder: Path) -> None:
    (folder / "stackfile.py").write_text(_STACK)
    migrations = folder / "migrations"
    migrations.mkdir()
    for number in range(_MIGRATIONS):
        text = _MIGRATION.format(n=number, before=max(0, number - 1))
        (migrations / f"{number:04}_item.sql").write_text(text)
    for file in _TESTS.glob("*.py"):
        shutil.copy(file, folder)
    (folder / "pytest.ini").write_text("[pytest]\n")


def _database(project: _Project, options: list[str]) -> Mapping[str, str]:
    """Where the database of the stack is, and how to log in."""
    status = json.loads(_run([*STACKCTL, *options, "--json", "status"], project.folder, project.variables))
    (port,) = status["data"]["components"]["db"]["ports"].values()
    password = (project.folder / "state" / _INSTANCE / "secrets" / "db_password").read_text().strip()
    return {"DB_PORT": str(port), "DB_PASSWORD": password}


def _installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    from importlib.metadata import entry_points

    return any(each.value == "stack.pytest_plugin" for each in entry_points(group="pytest11"))


def _run(command: list[str], folder: Path, variables: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600, check=False,
        stdin=subprocess.DEVNULL, env=os.environ | dict(variables or {}),
    )  # fmt: skip
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
