"""Secrets as variables on both engines: they arrive whole, follow a rotation, and stand nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests import leaks
from tests.cli import Cli, Result, eventually
from tests.conformance.engines import on_docker_at_length
from tests.ports import own_port
from tests.project import below, make_project

# A password of a user's own, with what a URL, a shell, a dotenv file and YAML take for their own.
PASSWORD = "p@ss/word?$HOME#%41'\"&+ é"
VARIABLES = {"DATABASE_URL": "db.url", "PGPASSWORD": "db.password", "CACHE_URL": "cache.url"}
STACK = """\
from stack import Postgres, Redis, Stack, WebApp

db = Postgres("db", user="shop", database="orders")
cache = Redis("cache")
web = WebApp(
    "web",
    source="app",
    publish=23901,
    health="/",
    uses=[db, cache],
    command=["python3", "app.py"],
    rereads_secrets=True,
    environment={ENVIRONMENT},
)
plain = WebApp(
    "plain", source="app", port=8001, publish=23902, health="/", uses=[db],
    command=["python3", "app.py"], rereads_secrets=True,
)
stack = Stack("shop", [web, plain, db, cache])
"""
APP = {
    "Dockerfile": "FROM python:3.14-slim\nWORKDIR /app\nCOPY . .\n",
    # It tells its own secret in its log, as many a program does.
    "app.py": """\
import http.server, json, os
print("starting with", os.environ.get("DATABASE_URL"), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(dict(os.environ)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Handler).serve_forever()
""",
}


class Shop(Cli):
    """The command line for an instance of that stack."""

    def declare(self, **variables: str) -> None:
        written = ", ".join(f'"{name}": {value}' for name, value in variables.items())
        assert self.file is not None
        self.file.write_text(STACK.replace("{ENVIRONMENT}", f"{{{written}}}"))

    def open(self, *words: str) -> Result:
        return self.run("--json", "up", "--port", f"web={self.port}", "--port", f"plain={self.port + 1}", *words)

    def environment_of_engine(self) -> dict[str, str]:
        found: dict[str, str] = self.data("env")
        return found

    @property
    def variables(self) -> dict[str, str]:
        status, answer = self.get()
        assert status == 200, answer
        return answer

    @property
    def password(self) -> str:
        return (self.state / "secrets" / "db_password").read_text()

    def processes(self) -> dict[str, object]:
        components = self.data("status")["components"]
        return {name: (each["restarts"], each["since"]) for name, each in components.items()}

    def accepts(self, url: str) -> bool:
        """Whether PostgreSQL accepts the names and the password of a URL."""
        parts = urlsplit(url)
        local = f"postgresql://{parts.username}:{parts.password}@127.0.0.1:{parts.port}{parts.path}"
        return self.ok("exec", "db", "--", "psql", local, "-Atc", "SELECT current_user").stdout == "shop\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    folder = make_project(tmp_path_factory, "shop", below("app", APP))
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    cli.declare(**VARIABLES)
    secrets = cli.state / "secrets"
    secrets.mkdir(parents=True)
    for made in (folder / ".stackctl", cli.state, secrets):
        made.chmod(0o700)
    (secrets / "db_password").write_text(PASSWORD)
    try:
        assert cli.open().exit_code == 0, cli.saved_logs()
        yield cli
    finally:
        cli.reset()


def test_the_values_arrive_whole(shop: Shop) -> None:
    variables = shop.variables
    assert variables["PGPASSWORD"] == PASSWORD
    parts = urlsplit(variables["DATABASE_URL"])
    assert (parts.scheme, parts.username, unquote(parts.password or ""), parts.path) == (
        "postgresql",
        "shop",
        PASSWORD,
        "/orders",
    )
    assert shop.accepts(variables["DATABASE_URL"])
    cache = urlsplit(variables["CACHE_URL"])
    assert (cache.scheme, cache.path, bool(cache.password)) == ("redis", "/0", shop.engine == "embedded")
    assert Path(variables["DB_PASSWORD_FILE"]).name == "db_password", "the default is as it was"
    shown = shop.ok("exec", "web", "--", "env").stdout
    assert f"DATABASE_URL={variables['DATABASE_URL']}" in shown, "a session has the same variables"


def test_no_secret_stands_in_another_place(shop: Shop, tmp_path: Path) -> None:
    secrets = [shop.password]
    assert leaks.holders(leaks.command_lines(), secrets) == [], "`ps` shows it"
    assert leaks.holders(leaks.written(shop), secrets) == [], "a file shows it"
    bundled = leaks.bundled(shop, tmp_path)
    assert any("starting with" in text for text in bundled.values()), "the log of the app is there"
    printed = leaks.printed(shop)
    assert leaks.holders(bundled | printed, secrets) == []
    assert "web: DATABASE_URL, PGPASSWORD" in printed["plan"]


def test_the_own_tools_of_docker_find_the_same(shop: Shop) -> None:
    if shop.engine != "compose":
        pytest.skip("there are none")
    environment = dict(os.environ) | shop.environment_of_engine()
    before = shop.processes()
    compose = ["docker", "compose"]
    shown = subprocess.run(
        [*compose, "exec", "-T", "web", "env"], env=environment, capture_output=True, text=True, check=True
    )
    assert f"DATABASE_URL={shop.variables['DATABASE_URL']}" in shown.stdout
    subprocess.run([*compose, "up", "-d"], env=environment, capture_output=True, check=True)
    assert shop.processes() == before, "Compose finds nothing to do"


def test_a_rotation_recreates_only_what_holds_the_variable(shop: Shop) -> None:
    before = shop.processes()
    assert shop.data("rotate", "db")["restarted"] == ["web"]
    after = shop.processes()
    assert {name for name in before if before[name] != after[name]} == {"web"}
    variables = shop.variables
    assert variables["PGPASSWORD"] == shop.password != PASSWORD
    assert shop.accepts(variables["DATABASE_URL"])
    assert shop.open().envelope["data"]["changed"] is False


def test_a_changed_text_is_a_difference_without_the_secret(shop: Shop) -> None:
    shop.declare(**{**VARIABLES, "DATABASE_URL": 'f"{db.url}?sslmode=disable"'})
    planned = shop.data("plan")["actions"]
    (web,) = [each for each in planned if each["action"] != "keep"]
    (difference,) = web["differences"]
    assert (web["component"], difference["field"]) == ("web", "environment.DATABASE_URL")
    assert difference["after"].endswith("?sslmode=disable")
    assert leaks.holders({"plan": json.dumps(planned)}, [shop.password]) == []
    assert shop.open().exit_code == 0
    assert shop.variables["DATABASE_URL"].endswith("?sslmode=disable")
    assert shop.variables["DATABASE_URL"] in shop.ok("exec", "web", "--", "env").stdout


@on_docker_at_length
def test_a_rollback_brings_the_variables_back(shop: Shop) -> None:
    before = shop.variables
    assert shop.file is not None
    shop.declare(LOG='"info"')
    shop.file.write_text(shop.file.read_text().replace('"app.py"]', '"-c", "raise SystemExit(3)"]', 1))
    failed = shop.open("--rollback")
    assert failed.exit_code == 1, failed
    assert "what ran before runs again" in failed.error["hint"]
    after = eventually(lambda: shop.get()[1] if shop.get()[0] == 200 else {})
    assert {name: after[name] for name in VARIABLES} == {name: before[name] for name in VARIABLES}
