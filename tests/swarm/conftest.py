"""Instances on the Swarm that the tests bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stack.playground import __file__ as playground
from tests.cli import Cli, eventually
from tests.engine.swarm import Swarm
from tests.swarm.nodes import all_ready
from tests.swarm.standing import standing

DOCKERFILE = """\
FROM python:3.14-slim
COPY web.py /app/web.py
"""
# Says which version it is, and where it runs.
WEB = """\
import http.server, os, socket

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ('{"version": "%s", "host": "%s"}' % (VERSION, socket.gethostname())).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

VERSION = "one"
print("serving", VERSION, flush=True)
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
STACK = """\
from stack import Job, Parameter, Postgres, Redis, Stack, Volume, WebApp, Worker

key = Parameter("SECRET_KEY", secret=True, generate=True)
db = Postgres("db")
cache = Redis("cache", durable=True)
web = WebApp(
    "web", source="web", port=8000, health="/", uses=[db, cache], command=["python", "/app/web.py"],
    environment={"SECRET_KEY": key, "DATABASE_URL": db.url}, volumes={"/app/media": Volume("media")},
)
migrate = Job("migrate", of=web, command=["sh", "-c", "echo migrated $DB_HOST"], before=[web])
talk = "echo working; echo complaining >&2; exec sleep 3600"
worker = Worker("worker", of=web, command=["sh", "-c", talk], replicas=2)
stack = Stack("shop", [web, migrate, worker, db, cache], registry="REGISTRY")
"""


def write_shop(folder: Path, registry: str) -> Path:
    """Write a stack of an app, a job, workers and databases; return its file."""
    (folder / "web").mkdir()
    (folder / "web" / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (folder / "web" / "web.py").write_text(WEB, encoding="utf-8")
    file = folder / "stackfile.py"
    file.write_text(STACK.replace("REGISTRY", registry), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def new_shop(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Cli]]:
    """Make instances of the shop that are deleted after the module."""
    made: list[Cli] = []

    def make() -> Cli:
        folder = tmp_path_factory.mktemp("shop")
        file = write_shop(folder, f"{swarm.registry}/tests")
        made.append(Cli(folder, file=file, engine="swarm", environment=swarm.environment))
        return made[-1]

    yield make
    for cli in made:
        result = cli.reset()
        assert result.exit_code == 0, result


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Cli]) -> Cli:
    """One that is up, for tests that leave it up and as it was."""
    cli = new_shop()
    cli.up()
    return cli


@pytest.fixture
def guarded(guarded_counter: Cli, swarm: Swarm) -> Cli:
    """The visit counter with a standby that protects it, whatever a test before this one left."""
    eventually(lambda: all_ready(swarm))
    if not standing(guarded_counter)["protected"]:
        guarded_counter.up()
    return guarded_counter


@pytest.fixture(scope="module")
def guarded_counter(swarm: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """The visit counter, up, with a standby of its database."""
    folder = tmp_path_factory.mktemp("guarded")
    source = Path(playground)
    text = source.read_text(encoding="utf-8").replace('"../service', f'"{source.parents[1]}/service')
    file = folder / "stackfile.py"
    file.write_text(text.replace("migrations=", "standby=True, migrations="), encoding="utf-8")
    cli = Cli(folder, file=file, engine="swarm")
    # Both are on nodes that may be killed: the client asks the first one.
    labels = {"host2": ("stackctl.data", "stackctl.standby"), "host3": ("stackctl.standby",)}
    words = [(node, label) for node, named in labels.items() for label in named]
    for node, label in words:
        swarm.first.docker("node", "update", "--label-add", f"{label}=true", node)
    try:
        cli.up()
        yield cli
        eventually(lambda: all_ready(swarm))
        assert cli.reset().exit_code == 0
    finally:
        for node, label in words:
            swarm.first.docker("node", "update", "--label-rm", label, node)
