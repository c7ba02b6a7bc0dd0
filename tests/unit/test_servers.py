"""Which server an instance is on, how it is reached, and what is told if it can't be."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.engines.compose.driver import ComposeEngine
from stack.engines.compose.fleet import ComposeFleet
from stack.engines.compose.render import labels
from stack.engines.docker import connection, ssh
from stack.engines.docker.hosts import address_of
from stack.engines.docker.ssh import Server
from stack.engines.embedded.fleet import EmbeddedFleet
from stack.errors import StackError, UsageError
from stack.instance import Instance, default_project, name_of_project
from stack.observed import Found, Resources
from stack.playground import stack as playground
from stack.record import Record
from stack.registry import Entry, Registry
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow.fleet import gather
from stack.workflow.opening import look
from tests.cli import ROOT

HOST = "ssh://deploy@shop.test"


def settings(folder: Path, host: str | None = None, engine: str | None = None) -> Settings:
    return Settings(PLAYGROUND, None, folder / "states", engine, folder / "registry", host=host)


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("ssh://shop", Server("shop")),
        ("ssh://deploy@shop.example.com", Server("shop.example.com", "deploy")),
        ("ssh://deploy@Shop:2222", Server("Shop", "deploy", 2222)),
        ("ssh://[2001:db8::1]:22", Server("2001:db8::1", None, 22)),
        ("ssh://me@shop/run/user/1000/docker.sock", Server("shop", "me", None, "/run/user/1000/docker.sock")),
    ],
)
def test_an_address_is_read_and_written_the_same(address: str, server: Server) -> None:
    assert Server.parse(address) == server
    assert str(server) == address


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("ssh://", "is not the address of a server"),
        ("http://shop", "is not the address of a server"),
        ("ssh://me:secret@shop", "holds no password"),
        ("ssh://-oProxyCommand=id", "can't be the name of a server or user"),
        ("ssh://-l@shop", "can't be the name of a server or user"),
        ("ssh://shop:99999", "is not the address of a server"),
        ("ssh://shop?x", "has something after the name"),
    ],
)
def test_what_is_no_address_is_told(address: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as raised:
        Server.parse(address)
    assert "secret" not in str(raised.value.message)


def test_a_context_stands_for_the_server_that_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name, address in (("shop", "ssh://deploy@shop.test/"), ("desktop", "unix:///home/me/docker.sock")):
        folder = tmp_path / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": address}}}))
    assert address_of("shop") == address_of(HOST) == HOST
    with pytest.raises(UsageError, match=r"leads to unix:///home/me/docker\.sock, not to a server"):
        address_of("desktop")
    with pytest.raises(UsageError, match="neither the address of a server nor a docker context"):
        address_of("nothing")


def test_ssh_never_asks_and_never_accepts_a_host_key() -> None:
    control, log = Path("/run/c"), Path("/run/l")
    server = Server("shop", "deploy", 2222)
    for command in (
        ssh.open_master(server, control, log, 60),
        ssh.run_on(server, control, ["docker", "version"]),
        ssh.forward_socket(server, control, Path("/run/s"), "/var/run/docker.sock"),
    ):
        options = [value for option, value in itertools.pairwise(command) if option == "-o"]
        assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "ControlPath=/run/c"} <= set(options)
        assert command[command.index("-l") + 1] == "deploy"
        assert command[command.index("-p") + 1] == "2222"
        assert command[command.index("--") + 1] == "shop"


def test_a_command_reaches_the_shell_of_the_server_word_for_word() -> None:
    words = ["docker", "version", "--format", "{{.Server.Version}} $HOME"]
    assert ssh.run_on(Server("shop"), Path("/c"), words)[-1] == "docker version --format '{{.Server.Version}} $HOME'"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("me@shop: Permission denied (publickey).", "ssh-refused"),
        ("Received disconnect from 1.2.3.4 port 22:2: Too many authentication failures", "ssh-refused"),
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
            "host-key-changed",
        ),
        (
            "No ED25519 host key is known for shop.",
            "host-key-unknown",
        ),
        ("ssh: Could not resolve hostname shop: Name or service not known", "server-unreachable"),
        ("ssh: connect to host shop port 22: Connection refused", "server-unreachable"),
        ("kex_exchange_identification: Connection closed by remote host", "server-unreachable"),
        ("mux_client_forward: forwarding request failed: Port forwarding is disabled", "ssh-forwarding"),
        (
            "bind: Address already in use\nchannel_setup_fwd_listener_tcpip: cannot listen to port: 8000\n"
            "Could not request local forwarding.",
            "port-taken",
        ),
        ("something that nobody knows", "server-unreachable"),
    ],
)
def test_what_ssh_says_is_one_clear_error(said: str, code: str) -> None:
    error = ssh.failed(Server("shop", "me"), said)
    assert (error.code, error.output) == (code, said)
    assert "ssh://me@shop" in error.message
    assert error.hint


def test_a_server_chooses_the_engine_and_is_remembered(tmp_path: Path) -> None:
    opened = look(settings(tmp_path, HOST))
    assert (opened.engine.name, opened.instance.host, opened.record.host) == ("compose", HOST, HOST)
    assert opened.where == f"compose on {HOST}"
    opened.state.remember(opened.record)
    again = look(settings(tmp_path))
    assert (again.instance.host, again.record) == (HOST, opened.record)


def test_another_server_than_that_of_the_instance_is_refused(tmp_path: Path) -> None:
    state = State(tmp_path / "states" / "playground")
    state.remember(Record("p", {}, "compose", host=HOST))
    for asked in ("ssh://other", "ssh://root@shop.test"):
        with pytest.raises(StackError, match=f"is on {HOST}, and its data with it; {asked} was asked for") as raised:
            look(settings(tmp_path, asked))
        assert raised.value.code == "host-differs"
    state.remember(Record("p", {}, "compose"))
    with pytest.raises(StackError, match="is on this machine, and its data with it"):
        look(settings(tmp_path, HOST))
    assert "host" not in json.loads((state.folder / "record.json").read_text())


def test_an_engine_of_this_machine_alone_has_no_server(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the engine embedded runs on this machine alone"):
        look(settings(tmp_path, HOST, "embedded"))


def test_what_looks_on_the_server_passes_over_what_others_made_there(tmp_path: Path) -> None:
    here, there = default_project("shop", tmp_path), default_project("shop", tmp_path, "laptop")
    assert here != there != default_project("shop", tmp_path, "desktop")
    # By its project an image is known to be an instance's.
    assert (name_of_project(here), name_of_project(there)) == ("shop", there)
    local, remote = (
        labels(Instance("shop", "p", playground, tmp_path, tmp_path, {}, host=host)) for host in (None, HOST)
    )
    assert set(local) & set(remote) == {"stackctl.instance"}


def entry(folder: Path, host: str | None) -> Entry:
    made = "2026-11-24T12:56:45+00:00"
    return Entry("p", "shop", "compose", folder, folder / "shop.py", {}, made, host=host)


@pytest.mark.parametrize("answers", [True, False])
def test_instances_on_servers_are_listed_if_their_servers_answer_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    registry = Registry(tmp_path / "registry")
    registry.enter(entry(tmp_path, HOST))
    refusal = StackError("ssh-refused", "no key", "add one")

    monkeypatch.setattr(EmbeddedFleet, "find", lambda *_: [])

    def find(fleet: ComposeFleet, entries: list[Entry]) -> list[Found]:
        if fleet._host is None:
            assert entries == []
            return []
        if not answers:
            raise refusal
        return [Found("compose", "p", "shop", (tmp_path,), {"web": "healthy"}, {}, Resources())]

    monkeypatch.setattr(ComposeFleet, "find", find)
    assert gather(settings(tmp_path)).members == ()
    gathered = gather(settings(tmp_path), servers=True)
    (member,) = gathered.members
    assert (member.host, member.condition) == (HOST, "up" if answers else "unknown")
    assert gathered.silent_lines(None) == ([] if answers else [f"{HOST} can't be asked: no key"])


def test_the_tools_of_docker_reach_the_server_by_themselves(tmp_path: Path) -> None:
    instance = Instance("shop", "p", playground, tmp_path, tmp_path, {}, host=HOST)
    instance.configuration.mkdir()
    (instance.configuration / "compose.yaml").touch()
    assert ComposeEngine(instance).environment()["DOCKER_HOST"] == HOST


# What reaches a daemon, and has to be told which.
LOOKS_UP = {"inspect", "container_ids", "volume_names", "network_names", "listed"}
RUNS = {"run", "read", "environment", "failed"}


def test_compose_names_the_daemon_wherever_it_reaches_one() -> None:
    forgotten = [
        f"{path.name}:{call.lineno}"
        for path in (ROOT / "stack" / "engines" / "compose").glob("*.py")
        for call in _reaching(ast.parse(path.read_text(encoding="utf-8")))
        if "host" not in ast.unparse(call)
    ]
    assert not forgotten, f"these reach the daemon of this machine, whatever the instance is on: {forgotten}"


def _reaching(tree: ast.AST) -> list[ast.Call]:
    def reaches(function: ast.expr) -> bool:
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            return function.value.id == "removal" or (function.value.id == "client" and function.attr in RUNS)
        return isinstance(function, ast.Name) and function.id in LOOKS_UP

    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and reaches(node.func)]


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    monkeypatch.setattr(connection, "Path", lambda _: tmp_path / "sockets")
    return connection.folder


def test_the_sockets_are_in_a_folder_of_this_user_alone(sockets: Callable[[], Path]) -> None:
    folder = sockets()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(StackError, match="is not a folder that only this user can enter"):
        sockets()
    folder.rmdir()
    folder.symlink_to("/tmp")
    with pytest.raises(StackError, match="is not a folder that only this user can enter"):
        sockets()


def test_an_instance_of_this_machine_loads_nothing_of_ssh(tmp_path: Path) -> None:
    program = (
        "import sys, stack.engines.compose.driver, stack.workflow.converge, stack.commands.status, stack.cli.app;"
        "print([name for name in sys.modules if name.split('.')[-1] in"
        " ('ssh', 'connection', 'tunnel', 'lock', 'hosts', 'carrying')])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ended.stdout.strip() == "[]"
