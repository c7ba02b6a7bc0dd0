"""Processes of this machine in the place of a component: which component, what they get, what is refused."""

from __future__ import annotations

import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack import BIND, PORT, Container, Job, Parameter, Postgres, Proxy, Redis, Stack, Volume, WebApp, Worker
from stack.cli.options import CommandForComponent
from stack.commands import run_local as module
from stack.commands import up_local
from stack.commands.run_local import run_local
from stack.commands.up_local import run_in_place
from stack.engines import one_offs, process
from stack.engines.base import Local
from stack.engines.compose import local as compose
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError
from stack.instance import Instance
from stack.observed import ComponentState
from stack.parameters import Given
from stack.record import Record
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow.choosing import Choice
from stack.workflow.local import find_app, local_name, needing, rest_of
from stack.workflow.opened import Opened
from stack.workload import PortId
from tests.unit.fake_engine import FakeEngine, World

DB, CACHE, MEDIA = Postgres("db"), Redis("cache", publish=6400), Volume("media")
KEY = Parameter("KEY", secret=True)
WEB = WebApp(
    "web",
    source=".",
    uses=[DB, CACHE],
    command=["serve", f"--bind={BIND}:{PORT}"],
    environment={"DATABASE_URL": f"{DB.url}?sslmode=disable", "KEY": KEY, "MODE": "a$b"},
    volumes={"/app/media": MEDIA},
)
SETTINGS = Settings(PLAYGROUND, None, Path("/"))
UP = ComponentState("1", "running", "healthy", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")


def opened(stack: Stack, folder: Path, world: World | None = None) -> Opened:
    ports = {PortId("web"): 8100, PortId("cache"): 6400}
    instance = Instance("shop", "stackctl-shop-abc", stack, folder, folder / "state" / "shop", ports)
    engine = FakeEngine(world or World(dict.fromkeys(stack.names, UP)), instance, like=ComposeEngine)
    return Opened(instance, State(instance.state), engine, Record("stackctl-shop-abc", {}), Choice("compose"))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    stack = Stack("shop", [WEB, DB, CACHE])
    made = World(dict.fromkeys(stack.names, UP), local=Local({"DB_HOST": "127.0.0.1"}, ("serve",)))
    monkeypatch.setattr(module, "look", lambda settings: opened(stack, tmp_path, made))
    return made


def ran(name: str | None, *command: str) -> tuple[int, str]:
    report = run_local(SETTINGS, name, command, capture=True)
    return report.exit_code, report.text


def refused(name: str | None, *command: str) -> StackError:
    with pytest.raises(StackError) as raised:
        ran(name, *command)
    return raised.value


def test_a_local_command_has_this_environment_and_that_of_the_app(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OWN", "mine")
    monkeypatch.chdir(tmp_path)
    assert ran(None, "sh", "-c", "echo $OWN $DB_HOST; pwd; exit 4") == (4, f"mine 127.0.0.1\n{tmp_path}\n")
    assert ran("web", "true") == (0, "")


@pytest.mark.parametrize(
    ("name", "command", "code", "message"),
    [
        ("db", "true", "usage", "db is a PostgreSQL, which no process of yours takes the place of"),
        ("fly", "true", "service-unknown", "'fly' is not a component of shop"),
        ("web", "no-such-program", "usage", "no-such-program can't be run: no such file or directory"),
        ("web", "/", "usage", "/ can't be run: permission denied"),
    ],
)
def test_what_can_not_be_run_locally_is_told(world: World, name: str, command: str, code: str, message: str) -> None:
    error = refused(name, command)
    assert (error.code, error.message) == (code, message)
    assert error.hint


def test_a_local_command_needs_what_its_app_uses(world: World) -> None:
    del world.components["web"]
    assert ran("web", "true") == (0, "")
    world.components["cache"] = replace(UP, state="exited")
    error = refused("web", "true")
    assert (error.code, error.message) == ("component-down", "web uses what does not run: cache (exited (0))")
    assert "`stackctl up cache`" in error.hint


def test_the_only_app_needs_no_name(tmp_path: Path) -> None:
    worker = Worker("worker", of=WEB, command="work")
    search = Container("search", image="search:1")
    assert find_app(opened(Stack("shop", [worker, search, WEB, DB, CACHE]), tmp_path), None) == WEB
    assert find_app(opened(Stack("shop", [search]), tmp_path), None) == search
    api = WebApp("api", source="api", port=8200)
    with pytest.raises(StackError, match="which component\\? The stack has: web, api"):
        find_app(opened(Stack("shop", [WEB, api, worker, DB, CACHE]), tmp_path), None)
    with pytest.raises(StackError, match="which component\\? The stack has: none"):
        find_app(opened(Stack("shop", [DB]), tmp_path), None)


def test_all_but_what_needs_a_local_component_is_started(tmp_path: Path) -> None:
    migrate = Job("migrate", of=WEB, command="migrate", before=[WEB])
    proxy, worker = Proxy("proxy", {"/": WEB}), Worker("worker", of=WEB, command="work", replicas=2)
    shop = opened(Stack("shop", [proxy, WEB, worker, migrate, DB, CACHE]), tmp_path)
    assert rest_of(shop, "web").names == {"worker", "migrate", "db", "cache"}
    assert needing(shop, "web") == ("proxy",)
    for name, message in (("migrate", "is a job"), ("worker", "has several replicas")):
        with pytest.raises(StackError, match=message) as raised:
            rest_of(shop, name)
        assert f"`stackctl run --local {name} -- …`" in raised.value.hint
    alone = opened(Stack("shop", [WebApp("web", source=".")]), tmp_path)
    with pytest.raises(StackError, match="there is nothing to start beside web"):
        rest_of(alone, "web")


def test_an_app_runs_in_its_source_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    shop = Stack("shop", [replace(WEB, source="src"), DB, CACHE])
    world = World(dict.fromkeys(shop.names, UP), local=Local({"X": "1"}, ("sh", "-c", "pwd > $OUT$X; exit 3")))
    given = opened(shop, tmp_path, world)
    given = replace(given, instance=replace(given.instance, ports={}))
    monkeypatch.setattr(up_local, "look", lambda settings: given)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    said: list[str] = []
    report = run_in_place(SETTINGS, "web", said.append)
    assert (report.exit_code, (tmp_path / "out1").read_text()) == (3, f"{tmp_path / 'src'}\n")
    assert said == ["web runs here as `sh -c 'pwd > $OUT$X; exit 3'`; Ctrl-C ends it alone"]
    with one_offs.held(given.state.folder, local_name("web")), pytest.raises(StackError, match="already"):
        run_in_place(SETTINGS, "web", said.append)


def test_an_app_that_does_not_say_how_it_starts_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = opened(Stack("shop", [WEB, DB, CACHE]), tmp_path)
    given = replace(given, instance=replace(given.instance, ports={}))
    monkeypatch.setattr(up_local, "look", lambda settings: given)
    with pytest.raises(StackError) as raised:
        run_in_place(SETTINGS, "web", lambda text: None)
    assert raised.value.message == ("shop/web/command: is missing; a local process has no image that names one")
    assert "WebApp('web', command=[…])" in raised.value.hint


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--local", "--", "pytest", "-x"], ["--local", "", "--", "pytest", "-x"]),
        (["--file", "s.py", "--local", "--", "ls"], ["--file", "s.py", "--local", "", "--", "ls"]),
        (["--", "ls"], ["", "--", "ls"]),
        (["web", "--local", "--", "ls"], ["--local", "web", "--", "ls"]),
        (["web", "ls", "-l"], ["web", "ls", "-l"]),
    ],
)
def test_the_component_may_be_left_out(words: list[str], read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.cli.options.TyperCommand.parse_args", lambda self, ctx, args: args)
    assert CommandForComponent("run").parse_args(None, words) == read


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.readline().upper())


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server of this machine."""
    with socketserver.TCPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_addresses_and_files_are_those_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = opened(Stack("shop", [WEB, DB, CACHE]), tmp_path).instance
    instance = replace(instance, parameters={"KEY": Given("k€y'", "set")})
    state = State(instance.state)
    for secret in ("db_password", "cache_password"):
        state.provide_secret(secret)
    password = state.secret("db_password").reveal()
    with compose.local(
        instance, "web", lambda name: pytest.fail(f"{name} is asked before it is connected to")
    ) as found:
        variables = dict(found.variables)
        port = variables["DB_PORT"]
        assert variables["DATABASE_URL"] == f"postgresql://app:{password}@127.0.0.1:{port}/app?sslmode=disable"
    assert (variables["DB_HOST"], variables["CACHE_HOST"]) == ("127.0.0.1", "127.0.0.1")
    assert variables["CACHE_PORT"] == "6400", "what is published needs no other port"
    assert Path(variables["DB_PASSWORD_FILE"]).read_text() == password
    assert instance.state.stat().st_mode & 0o077 == 0, "no other user comes to it"
    assert (variables["KEY"], variables["MODE"]) == ("k€y'", "a$b")
    assert Path(variables["VOLUME_MEDIA"]).is_dir()
    assert found.command == ("serve", "--bind=127.0.0.1:8100")
    assert password not in repr(found)


def test_a_secret_without_a_value_is_told(tmp_path: Path) -> None:
    instance = opened(Stack("shop", [WEB, DB, CACHE]), tmp_path).instance
    with pytest.raises(StackError, match="has no value yet") as raised, compose.local(instance, "web", str):
        pytest.fail("it has no values")
    assert raised.value.code == "component-down"


def test_an_attached_command_gets_time_to_end_with_its_stackctl() -> None:
    child = "trap 'echo ended; exit 0' TERM; echo begun; while :; do sleep 0.1; done"
    script = (
        "import os, signal, stackctl\nfrom stack.engines.process import attach\n"
        f"signal.signal(15, stackctl._terminate)\nattach(['sh', '-c', {child!r}], os.environ, None, 10)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"begun\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.readline() == b"ended\n"


def test_a_command_is_attached_in_a_folder(tmp_path: Path) -> None:
    assert (
        process.attach(["sh", "-c", f'test "$(pwd)" = {tmp_path} && exit 3'], {"PATH": "/usr/bin:/bin"}, tmp_path) == 3
    )
