"""`init --adopt` begins an instance with the data of a Compose project, running or stopped, which stays as it is."""

from __future__ import annotations

import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import Cli, eventually

pytestmark = pytest.mark.docker

PROJECT = """\
services:
  My_2.files:
    image: python:3.14-slim
    command: ["sleep", "600"]
    init: true
    volumes: ["media:/data", "/scratch"]
  queue:
    image: redis:8
    command: ["redis-server", "--appendonly", "yes"]
    volumes: ["waiting:/data"]
  plain:
    image: redis:8
    volumes: ["saved:/data"]
  db:
    image: postgres:17
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: "open $$esame", POSTGRES_DB: shop}
    volumes: ["pgdata:/var/lib/postgresql/data"]
volumes: {pgdata: {}, media: {}, waiting: {}, saved: {}}
"""
STACK = """\
from stack import Container, Postgres, Redis, Stack, Volume
db = Postgres("db", user="shop", database="shop", version=17)
files = Container("my-2-files", image="python:3.14-slim", command=["sleep", "600"], user="image",
                  volumes={"media": "/data", "/scratch": Volume("scratch", backup=False)})
queue = Redis("queue", durable=True)
plain = Redis("plain", durable=True)
new = Postgres("new")
stack = Stack("shop", [db, files, queue, plain, new])
"""
FILL = """\
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT g, 'n' || g FROM generate_series(1, 500) g;
"""
SUMS = "find /d -type f -exec sha1sum {} + | sort | sha1sum"


class Project:
    """A Compose project that stackctl did not make."""

    def __init__(self, folder: Path) -> None:
        self.name = f"old-{uuid.uuid4().hex[:8]}"
        self._file = folder / "compose.yaml"
        self._file.write_text(PROJECT)

    def compose(self, *words: str) -> str:
        command = ["docker", "compose", "--file", str(self._file), "--project-name", self.name, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ready(self) -> bool:
        words = ["exec", "-T", "db", "pg_isready", "-h", "127.0.0.1"]
        command = ["docker", "compose", "--project-name", self.name, *words]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def sums(self) -> str:
        """A checksum of the files of its database."""
        words = ["docker", "run", "--rm", "--volume", f"{self.name}_pgdata:/d:ro", "python:3.14-slim", "sh", "-c", SUMS]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    def copies(self) -> str:
        """The commands of containers that copy its stopped data, and of those that serve a copy."""
        name = f"name=stackctl-adopt-{self.name}-"
        return docker("container", "ls", "--all", "--no-trunc", "--filter", name, "--format", "{{.Command}}")

    def copied_volumes(self) -> str:
        return docker("volume", "ls", "--quiet", "--filter", f"name=stackctl-adopt-{self.name}-")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    made.compose("up", "--detach")
    eventually(made.ready)
    made.compose("exec", "-T", "db", "psql", "-U", "shop", "-q", "-c", FILL)
    made.compose("exec", "-T", "My_2.files", "sh", "-c", "mkdir /data/deep && echo hello > /data/deep/a.txt")
    made.compose("exec", "-T", "queue", "redis-cli", "RPUSH", "jobs", "first", "second")
    made.compose("exec", "-T", "plain", "redis-cli", "SET", "kept", "yes")
    made.compose("exec", "-T", "plain", "redis-cli", "SAVE")
    yield made
    made.compose("down", "--volumes", "--timeout", "2")


@pytest.mark.long
def test_its_data_is_taken_and_it_stays_as_it_is(project: Project, new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK)
    cli = new_cli(file=file)
    running = cli.data("init", "--adopt", project.name)
    assert running["rows"] == {"db": 500, "my-2-files": 2, "queue": 4, "plain": 3}
    assert "scratch: begins empty, because backup=False keeps it out of snapshots" in running["notices"]
    assert running["missing"] == ["new"]
    assert [notice for notice in running["notices"] if "while it ran" in notice], running
    _check(cli)
    assert project.ready(), "what runs goes on"
    assert cli.fails("init", "--adopt", project.name, code="usage", exit_code=2)["message"].endswith(
        "db, my-2-files, queue, plain, new"
    )

    cli.ok("reset", "--yes", "--no-snapshot")
    project.compose("stop", "--timeout", "5")
    before = project.sums()
    stopped = cli.data("init", "--adopt", project.name)
    # At its end Redis has written a dump beside its log.
    assert stopped["rows"] == running["rows"] | {"queue": 5}
    _check(cli)
    assert project.sums() == before, "not a byte of it is changed"
    assert project.copied_volumes() == ""
    assert cli.ok("snapshot", "list").stdout.count("by `init --adopt`") == 2
    assert cli.pending() == []


def _check(cli: Cli) -> None:
    rows = cli.data("inspect", "db", "--query", "SELECT count(*), min(name), max(id) FROM item")["rows"]
    assert [list(row.values()) if isinstance(row, dict) else list(row) for row in rows] == [["500", "n1", "500"]]
    assert cli.ok("exec", "my-2-files", "--", "cat", "/data/deep/a.txt").stdout == "hello\n"
    assert cli.ok("exec", "queue", "--", "redis-cli", "LRANGE", "jobs", "0", "-1").stdout.split() == ["first", "second"]
    # It keeps a log, and the project's server did not.
    assert cli.ok("exec", "plain", "--", "redis-cli", "GET", "kept").stdout == "yes\n"
    for name in ("queue", "plain"):
        # Where it writes a log anew it has to own the folder.
        cli.ok("exec", name, "--", "test", "-O", "/data")


@pytest.mark.long
def test_an_adoption_that_ends_early_leaves_all_of_the_data_or_nothing(
    project: Project, new_cli: Callable[..., Cli], tmp_path: Path
) -> None:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK.replace('"sleep", "600"', '"false"'))
    cli = new_cli(file=file)
    with cli.start("init", "--adopt", project.name) as running:
        assert running.stderr is not None
        next(line for line in running.stderr if "making a new data store" in line)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=120)
    assert running.returncode == 130
    label = f"label=com.docker.compose.project={cli.data('env')['COMPOSE_PROJECT_NAME']}"
    for kind in ("container", "network", "volume"):
        every = ["--all"] if kind == "container" else []
        assert docker(kind, "ls", *every, "--quiet", "--filter", label) == "", kind
    assert cli.data("snapshot", "list")["snapshots"] == []

    # What has the data can't be begun again; what was wrong with the rest can be mended.
    error = cli.fails("init", "--adopt", project.name, code="crash-loop")
    assert "has the data already, so go on with `stackctl" in error["hint"]
    assert len(cli.data("snapshot", "list")["snapshots"]) == 1
    file.write_text(STACK)
    cli.ok("up")
    _check(cli)


@pytest.mark.parametrize("command", ["cp -a", "docker-entrypoint.sh"])
@pytest.mark.long
def test_a_copy_of_stopped_data_is_removed_on_ctrl_c(
    project: Project, new_cli: Callable[..., Cli], tmp_path: Path, command: str
) -> None:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK)
    cli = new_cli(file=file)
    project.compose("stop", "--timeout", "5")
    with cli.start("init", "--adopt", project.name) as running:
        eventually(lambda: command in project.copies(), every=0)
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=120)
    assert running.returncode == 130
    assert project.copies() == ""
    assert project.copied_volumes() == ""


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def test_a_project_that_is_not_there_is_told(new_cli: Callable[..., Cli], tmp_path: Path) -> None:
    file = tmp_path / "stackfile.py"
    file.write_text(STACK)
    cli = new_cli(file=file)
    error = cli.fails("init", "--adopt", "no-such-project", code="project-unknown")
    assert "no container of a Compose project 'no-such-project'" in error["message"]
    assert not cli.state.exists() or not cli.data("ls")["instances"]
