"""What is rendered otherwise on a server, and how its ports come to this machine."""

from __future__ import annotations

import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from stack import Container, Postgres, Redis, Stack, WebApp
from stack.capabilities import Completed
from stack.carried import check_mounts, read_contents
from stack.engines import process
from stack.engines.compose import remote
from stack.engines.compose.driver import ComposeEngine
from stack.engines.compose.fleet import published
from stack.engines.compose.render import fields, render
from stack.engines.docker import api, connection, listening, memory
from stack.engines.docker.api import Answer
from stack.engines.docker.connection import DistantDaemon
from stack.engines.docker.tunnel import Tunnel
from stack.errors import DeclarationError, StackError
from stack.fields import Fields
from stack.instance import Instance, default_ports
from tests.ports import own_port

HOST = "ssh://deploy@shop.test"
db = Postgres("db", publish=True)
STACK = Stack(
    "shop",
    [
        WebApp("web", source="app", port=3000, uses=[db], command=["serve"]),
        Container(
            "search", image="search:1", ports={"http": 9200}, publish={"http": 9200}, files={"conf": "/etc/conf"}
        ),
        Redis("cache"),
        db,
    ],
)


@pytest.fixture
def here(tmp_path: Path) -> Instance:
    (tmp_path / "app").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.conf").write_text("depth = 3")
    state = tmp_path / ".stackctl" / "shop"
    contents = read_contents(STACK, tmp_path, state.parent)
    return Instance("shop", "p", STACK, tmp_path, state, default_ports(STACK), contents=contents)


@pytest.fixture
def there(here: Instance) -> Instance:
    return replace(here, host=HOST)


def services(instance: Instance) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(instance))["services"]
    return found


def test_nothing_that_a_container_gets_is_a_path_of_this_machine(there: Instance) -> None:
    project = yaml.safe_load(render(there))
    assert not {"secrets", "configs"}.intersection(project)
    assert project["volumes"]["stackctl.carried"] == {"name": "p-carried", "external": True}
    for service in project["services"].values():
        # What the client reads here and sends, and a label.
        sent = {name: each for name, each in service.items() if name not in ("build", "env_file", "labels")}
        assert str(there.folder) not in json.dumps(sent)


def test_each_service_mounts_its_own_secrets_and_files_and_no_others(there: Instance) -> None:
    found = {
        name: {each["target"]: each["volume"]["subpath"] for each in service.get("volumes", ()) if _carried(each)}
        for name, service in services(there).items()
    }
    assert {name: parts.pop("/run/secrets", None) for name, parts in found.items()} == {
        "web": "secrets/web",
        "db": "secrets/db",
        "search": None,
        "cache": None,
    }
    assert found["search"].pop("/etc/conf").startswith("compose/files/")
    assert not found["search"]
    mounts = [each for service in services(there).values() for each in service.get("volumes", ()) if _carried(each)]
    assert all(each["read_only"] for each in mounts)


def _carried(mount: str | dict[str, Any]) -> bool:
    return isinstance(mount, dict) and mount["source"] == "stackctl.carried"


def test_a_declaration_is_the_same_there_but_for_labels_and_ports(here: Instance, there: Instance) -> None:
    mine, its = fields(here), fields(there)
    assert mine != its

    def rest(found: Mapping[str, Fields]) -> dict[str, dict[str, str]]:
        return {
            name: {key: text for key, text in each.items() if not key.startswith(("ports", "labels"))}
            for name, each in found.items()
        }

    assert rest(mine) == rest(its)


def test_each_instance_publishes_on_an_address_of_its_own(there: Instance) -> None:
    (port,) = services(there)["db"]["ports"]
    address, outer, inner = port.split(":")
    assert (outer, inner) == ("5432", "5432")
    assert address == remote.address("p") != remote.address("q")
    assert published(f"{address}:5432->5432/tcp") == {5432: 5432}
    assert socket.inet_aton(address)[0] == 127
    assert {remote.address(str(number)) for number in range(1000)}.isdisjoint({"127.0.0.1"})


def test_a_folder_of_this_machine_is_refused_there(here: Instance) -> None:
    stack = Stack("shop", [Container("box", image="nginx:1.29", mounts={"conf": "/conf"})])
    check_mounts(stack, here.folder)
    with pytest.raises(DeclarationError, match=f"is a folder of this machine, which {HOST} does not have"):
        check_mounts(stack, here.folder, HOST)


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ({"usage": 100, "stats": {"inactive_file": 30}}, 70),
        ({"usage": 100, "stats": {"total_inactive_file": 30, "inactive_file": 20}}, 70),
        ({"usage": 10, "stats": {"inactive_file": 30}}, 0),
        ({"usage": 10}, 10),
        ({}, None),
    ],
)
def test_memory_is_what_the_daemon_of_the_server_tells(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], used: int | None
) -> None:
    class Daemon(api.Daemon):
        def get(self, path: str, timeout: float, query: Mapping[str, str] | None = None) -> Answer:
            assert query is not None
            assert (path, query["one-shot"]) == ("/containers/63be/stats", "true")
            return Answer({"memory_stats": told})

    monkeypatch.setattr(api, "behind", lambda host: Daemon("/socket") if host == HOST else None)
    assert memory.of_remote_containers(["63be"], HOST) == ({} if used is None else {"63be": used})


def test_where_a_container_listens_is_read_inside_of_it() -> None:
    head = "  sl  local_address rem_address   st tx_queue\n"
    four = head + "   0: 0100007F:1F90 00000000:0000 0A 00000000\n   1: 0B00007F:A001 00000000:0000 0A 00000000\n"
    six = head + "   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 0\n"
    assert listening.of_tables(four + six) == {("127.0.0.1", 8080), ("::", 3000)}


def test_an_instance_of_this_machine_has_no_tunnel(here: Instance, there: Instance) -> None:
    assert ComposeEngine(here).tunnel is None
    found = ComposeEngine(there).tunnel
    assert isinstance(found, Tunnel)
    assert (found.address, sorted(found.wanted)) == (remote.address("p"), [3000, 5432, 9200])


@contextmanager
def controlled(path: Path) -> Iterator[None]:
    """Listen where a process of ssh is controlled."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.bind(str(path))
        control.listen()
        yield
    path.unlink(missing_ok=True)


@dataclass
class Ssh:
    """What was asked of ssh, which opens nothing; `answer` is that to a command for a connection that is open."""

    commands: list[list[str]] = field(default_factory=list)
    answer: Completed = field(default_factory=lambda: Completed(0, "", ""))

    def begin(self, server: object, command: list[str], log: Path) -> None:
        self.commands.append(command)
        log.write_text("what ssh said\n")

    def run(self, command: list[str], environment: object, timeout: float) -> Completed:
        self.commands.append(command)
        return self.answer

    def asked(self, option: str) -> list[str]:
        """The word after each of these options."""
        pairs = [pair for command in self.commands for pair in pairwise(command)]
        return [value for name, value in pairs if name == option]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    ssh = Ssh()
    monkeypatch.setattr(connection, "folder", lambda: tmp_path)
    monkeypatch.setattr(connection, "run_ssh", ssh.begin)
    monkeypatch.setattr(process, "run", ssh.run)
    return ssh


def tunnel_of(folder: Path) -> Tunnel:
    return Tunnel(HOST, "p", "127.1.2.3", folder / ".stackctl" / "shop", [own_port()])


def control_of(folder: Path) -> Path:
    return Path(json.loads((folder / ".stackctl" / "shop" / "tunnel.json").read_text())["control"])


def test_a_tunnel_is_open_for_as_long_as_its_process_lives(tmp_path: Path, ssh: Ssh) -> None:
    made = tunnel_of(tmp_path)
    (port,) = made.wanted
    assert made.ports == frozenset()
    made.open()
    assert ssh.asked("-L") == [f"127.0.0.1:{port}:127.1.2.3:{port}"]
    assert made.ports == frozenset(), "its process never came up"
    with controlled(control_of(tmp_path)):
        assert made.ports == {port}
        begun = len(ssh.commands)
        made.open()
        assert len(ssh.commands) == begun, "one that is open stays as it is"
    assert made.ports == frozenset()
    made.close()
    assert [*(tmp_path / ".stackctl" / "shop").iterdir()] == []


def test_a_tunnel_is_found_although_the_state_was_lost(tmp_path: Path, ssh: Ssh) -> None:
    made = tunnel_of(tmp_path)
    made.open()
    control = control_of(tmp_path)
    (tmp_path / ".stackctl" / "shop" / "tunnel.json").unlink()
    with controlled(control):
        assert made.ports == frozenset(made.wanted)
    made.close()
    assert not [*tmp_path.glob("*.json")]


def test_a_tunnel_for_other_ports_takes_its_place(tmp_path: Path, ssh: Ssh) -> None:
    first, second = tunnel_of(tmp_path), tunnel_of(tmp_path)
    first.open()
    with controlled(control_of(tmp_path)):
        second.open()
    assert ssh.asked("-O") == ["forward", "exit", "forward"]
    note = json.loads((tmp_path / ".stackctl" / "shop" / "tunnel.json").read_text())
    assert note["ports"] == [*second.wanted]


def test_a_port_that_is_taken_here_is_told_and_nothing_stays_open(tmp_path: Path, ssh: Ssh) -> None:
    ssh.answer = Completed(1, "", "bind [127.0.0.1]:8000: Address already in use")
    made = tunnel_of(tmp_path)
    with pytest.raises(StackError, match="a port that the stack publishes is taken") as raised:
        made.open()
    assert (raised.value.code, made.ports) == ("port-taken", frozenset())
    assert "what ssh said" in raised.value.output
    assert [*(tmp_path / ".stackctl" / "shop").iterdir()] == []


def test_a_port_of_udp_is_told_to_stay_there(tmp_path: Path) -> None:
    box = Container("box", image="dns:1", ports={"dns": "53/udp"}, publish={"dns": 5300})
    stack = Stack("shop", [box])
    here = Instance("shop", "p", stack, tmp_path, tmp_path / "state", default_ports(stack))
    assert ComposeEngine(here).notices() == ()
    there = ComposeEngine(replace(here, host=HOST))
    assert there.notices() == (f"box.dns: UDP does not go through SSH, so it is reached on {HOST} alone",)
    assert there.tunnel is not None
    assert not there.tunnel.ports


class Distant(http.server.BaseHTTPRequestHandler):
    """Answers in chunks, as the daemon does, and keeps connections open."""

    protocol_version = "HTTP/1.1"
    connected: ClassVar[list[object]] = []

    def setup(self) -> None:
        # It has no address, which the base class would name.
        self.client_address = ("here", 0)
        super().setup()
        self.connected.append(self)

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        body = json.dumps({"path": self.path}).encode()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        if self.path == "/last":
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def distant(tmp_path: Path) -> Iterator[DistantDaemon]:
    Distant.connected.clear()
    with UnixServer(str(tmp_path / "d.sock"), Distant) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield DistantDaemon(str(tmp_path / "d.sock"))
        server.shutdown()


def test_what_is_asked_next_goes_over_the_same_connection(distant: DistantDaemon) -> None:
    assert [distant.get(f"/{number}", 5) for number in range(3)] == [Answer({"path": f"/{n}"}) for n in range(3)]
    assert distant.get("/none", 5) == Answer(None)
    assert len(Distant.connected) == 1
    with ThreadPoolExecutor(4) as pool:
        assert {*pool.map(lambda _: distant.get("/many", 5) == Answer({"path": "/many"}), range(20))} == {True}
    assert len(Distant.connected) <= 4
    for each in distant.idle:
        each.close()


def test_a_connection_that_has_ended_is_left_to_the_client(distant: DistantDaemon, tmp_path: Path) -> None:
    assert distant.get("/last", 5) == Answer({"path": "/last"})
    assert distant.get("/next", 5) in (None, Answer({"path": "/next"}))
    assert DistantDaemon(str(tmp_path / "none.sock")).get("/version", 5) is None
    for each in distant.idle:
        each.close()
