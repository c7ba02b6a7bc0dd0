"""Ports: free or not, the next one, who has one, and which one an instance gets by itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from stack import Mail, WebApp, ports
from stack.engines.embedded.fleet import EmbeddedFleet
from stack.engines.fleets import FLEETS
from stack.errors import StackError
from stack.instance import default_project, name_of_project
from stack.model import Stack
from stack.observed import ComponentState, EngineState, Observed
from stack.ports import Holder, Listener, PortChoice
from stack.processes import describe, end, shortened
from stack.progress import Silence
from stack.record import Record
from stack.registry import Entry, Registry
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.workflow import ports as operation
from stack.workflow.opened import Opened
from stack.workflow.opening import change
from stack.workload import PortId

DECLARED = 8000
NOTHING = Observed({})


@contextmanager
def listening(address: str = "127.0.0.1") -> Iterator[int]:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
        server.bind((address, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1"])
def test_a_port_in_use_is_not_free_and_its_holder_is_named(address: str) -> None:
    with listening(address) as port:
        assert not ports.is_free(port)
        found = ports.listener(port)
        assert found is not None
        assert found.process == os.getpid()
        assert Path(sys.executable).name in str(found)


def test_a_machine_without_ipv6_has_free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.any_free()
    monkeypatch.setattr(ports, "_HOST_6", "2001:db8::1")
    assert ports.is_free(port), "the address is not there"


def test_the_next_free_port_is_neither_taken_nor_reserved() -> None:
    with listening() as port:
        found = ports.next_free(port, {port + 1})
        assert found is not None
        assert found > port + 1
        assert ports.is_free(found)


def test_there_may_be_no_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda *_: False)
    assert ports.next_free(65530) is None


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("/usr/bin/python3", "/home/me/stackctl.py", "up", "--port", "80"), "stackctl up --port 80"),
        (("/x/.venv/bin/python", "/x/.venv/bin/stackctl", "down"), "stackctl down"),
        (("nginx",), "nginx"),
        (("a" * 100,), f"{'a' * 80}…"),
    ],
)
def test_a_command_is_shown_short(words: tuple[str, ...], shown: str) -> None:
    assert shortened(words) == shown


def test_a_process_that_began_later_is_not_the_one_that_was_noted() -> None:
    assert str(os.getpid()) in str(describe(os.getpid(), until=2**40))
    assert describe(os.getpid(), until=0) is None
    assert describe(2**22 + 1, until=2**40) is None


STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import sys; print('here', flush=True); sys.stdin.read()"],
                         stdin=subprocess.PIPE)
child.wait()
"""


def test_a_process_that_does_not_heed_is_killed_with_all_that_it_started() -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True) as stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == "here\n"
        (child,) = psutil.Process(stubborn.pid).children()
        assert end(stubborn.pid, grace=0.2)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert not psutil.pid_exists(stubborn.pid)
    assert end(stubborn.pid, grace=0.2), "what is gone is no error"


def supervised(configuration: str) -> Listener:
    supervisor = ("/x/python", "-P", "-m", "supervisor.supervisord", "-c", configuration)
    return Listener(7, (("gunicorn", "app"), supervisor, ("/sbin/init",)))


@pytest.mark.parametrize(
    ("configuration", "instance"),
    [
        ("/home/me/shop/.stackctl/review/embedded/conf/supervisord.conf", "review"),
        ("/var/lib/stackctl/stackctl-my-shop-0a1b2c/conf/supervisord.conf", "my-shop"),
    ],
)
def test_a_process_of_another_instance_is_told_with_its_name(configuration: str, instance: str) -> None:
    found = EmbeddedFleet().holder(8000, supervised(configuration))
    assert found is not None
    assert f"instance '{instance}'" in found.who
    assert found.fix == f"`stackctl --instance {instance} stop`"


@pytest.mark.parametrize("engine", ["compose", "embedded"])
def test_the_command_to_free_a_port_has_the_stack_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    file, registry = tmp_path / "my shop" / "shop.py", Registry(tmp_path / "registry")
    state = file.parent / ".stackctl" / "shop"
    held = Holder("the instance 'shop'", "`docker stop x`", state)
    monkeypatch.setattr(operation, "listener", lambda *_: None)
    for name, fleet in FLEETS.items():
        monkeypatch.setattr(type(fleet), "holder", lambda *_, own=name == engine: held if own else None)

    def fix(file: Path, state: Path) -> str:
        registry.enter(Entry("p", "shop", engine, state, file, {}, "2026-01-02T03:04:05+00:00"))
        return operation.holder_of(80, tmp_path / "registry").fix

    assert operation.holder_of(80, tmp_path / "registry") == held, "it is in no list"
    assert fix(file, state) == f"`stackctl --file '{file}' --instance shop stop`"
    assert fix(PLAYGROUND, state) == f"`STACKCTL_STATE='{state.parent}' stackctl --instance shop stop`"
    elsewhere = tmp_path / "shop.py"
    assert fix(elsewhere, state).startswith(f"`STACKCTL_STATE='{state.parent}' stackctl --file {elsewhere} ")


@pytest.mark.parametrize("words", [("nginx",), ("supervisord", "-c", "/etc/supervisord.conf"), ()])
def test_an_unknown_process_is_no_instance(words: tuple[str, ...]) -> None:
    assert EmbeddedFleet().holder(8000, Listener(7, (words,))) is None
    assert EmbeddedFleet().holder(8000, None) is None


def test_a_project_tells_the_name_of_its_instance() -> None:
    assert name_of_project(default_project("my-shop", Path("/x"))) == "my-shop"
    assert name_of_project("something") == "something"


# Which port an instance gets


def running(port: int, state: EngineState = "running") -> Observed:
    return Observed({"web": ComponentState("1", state, "healthy", 0, 0, False, None, "", {PortId("web"): port})})


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The ports that are taken on this machine."""
    numbers: set[int] = set()
    for module in (ports, operation):
        monkeypatch.setattr(module, "is_free", lambda port, udp=False: port not in numbers)
    return numbers


def opened(
    folder: Path,
    instance: str | None = "review",
    asked: Mapping[str | None, PortChoice] | None = None,
    remembered: Mapping[str, int] | None = None,
) -> Opened:
    file = folder / "shop.py"
    file.write_text(
        "from stack import Stack, WebApp\n"
        f"stack = Stack('shop', [WebApp('web', source='.', port={DECLARED}, command=['true'])])\n"
    )
    if remembered is not None:
        State(folder / "state" / (instance or "shop")).remember(
            Record("p", {PortId(name): port for name, port in remembered.items()}, "embedded")
        )
    with change(Settings(file, instance, folder / "state", "embedded"), Silence(), asked) as changed:
        return changed


def port_of(made: Opened, observed: Observed = NOTHING, reserved: tuple[int, ...] = ()) -> int:
    return operation.resolve_ports(made, reserved, lambda: observed).record.ports.get(PortId("web"), 0)


def test_a_named_instance_gets_the_declared_port_if_free_else_the_next(tmp_path: Path, taken: set[int]) -> None:
    assert port_of(opened(tmp_path)) == 8000
    taken |= {8000, 8001}
    assert port_of(opened(tmp_path)) == 8002


def test_ports_of_other_instances_are_reserved_while_they_are_down(tmp_path: Path, taken: set[int]) -> None:
    assert port_of(opened(tmp_path), reserved=(8000, 8001)) == 8002


def test_a_declared_port_is_used_and_not_remembered(tmp_path: Path, taken: set[int]) -> None:
    taken.add(8000)
    for name in (None, "shop"):
        resolved = operation.resolve_ports(opened(tmp_path, name), (), lambda: NOTHING)
        assert (resolved.record.ports, resolved.instance.ports, resolved.automatic) == ({}, {"web": 8000}, ())


def test_what_is_remembered_stays(tmp_path: Path, taken: set[int]) -> None:
    taken.add(8005)
    resolved = operation.resolve_ports(opened(tmp_path, remembered={"web": 8005}), (), lambda: NOTHING)
    assert (resolved.record.ports, resolved.automatic) == ({"web": 8005}, ())


def test_an_asked_port_replaces_the_remembered_one(tmp_path: Path, taken: set[int]) -> None:
    assert port_of(opened(tmp_path, remembered={"web": 8007}, asked={None: 8009})) == 8009


@pytest.mark.parametrize("asked", [{None: "auto"}, {"web": "auto"}])
def test_auto_chooses_again(tmp_path: Path, taken: set[int], asked: dict[str | None, PortChoice]) -> None:
    assert port_of(opened(tmp_path, "shop", asked)) == 8000
    assert port_of(opened(tmp_path, "shop", asked, remembered={"web": 8005})) == 8000
    taken.add(8000)
    assert port_of(opened(tmp_path, "shop", asked)) == 8005, "a remembered one comes before the next free one"
    taken.add(8005)
    assert port_of(opened(tmp_path, "shop", asked)) == 8001


def test_the_port_that_an_instance_listens_on_is_its_own(tmp_path: Path, taken: set[int]) -> None:
    taken |= {8000, 8003}
    assert port_of(opened(tmp_path), running(8003)) == 8003, "its state was lost, and it runs"
    assert port_of(opened(tmp_path, asked={None: "auto"}), running(8000)) == 8000
    assert port_of(opened(tmp_path), running(8003, "exited")) == 8001, "somebody else took it meanwhile"


def test_where_no_port_is_free_the_declared_one_is_asked_for_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ports, operation):
        monkeypatch.setattr(module, "is_free", lambda *_: False)
    monkeypatch.setattr(operation, "holder_of", lambda *_: Holder("somebody", "ask"))
    resolved = operation.resolve_ports(opened(tmp_path), (), lambda: NOTHING)
    assert resolved.record.ports == {"web": 8000}
    with pytest.raises(StackError) as raised:
        operation.check_ports(resolved, NOTHING)
    assert raised.value.code == "port-taken"
    assert "somebody" in raised.value.message
    assert "--port auto" in raised.value.hint


def test_the_engine_is_asked_only_where_a_port_has_to_be_chosen(tmp_path: Path, taken: set[int]) -> None:
    def fail() -> Observed:
        pytest.fail("asked")

    operation.resolve_ports(opened(tmp_path, "shop"), (), fail)
    operation.resolve_ports(opened(tmp_path, asked={"web": 8003}), (), fail)
    operation.resolve_ports(opened(tmp_path, remembered={"web": 8005}), (), fail)


def test_two_components_never_get_the_same_port(tmp_path: Path, taken: set[int]) -> None:
    made = opened(tmp_path)
    apps = [WebApp(name, source=".", port=DECLARED, publish=port) for name, port in (("web", 8000), ("admin", 8001))]
    instance = replace(made.instance, stack=Stack("shop", apps), ports={PortId("web"): 8000, PortId("admin"): 8001})
    taken.add(8000)
    resolved = operation.resolve_ports(replace(made, instance=instance), (), lambda: NOTHING)
    assert resolved.instance.ports == {"web": 8002, "admin": 8001}


def test_a_choice_is_told(tmp_path: Path, taken: set[int]) -> None:
    taken.add(8000)
    (line,) = operation.automatic_lines(operation.resolve_ports(opened(tmp_path), (), lambda: NOTHING))
    assert line == ("port 8001 was chosen for web (8000 is taken), and is remembered; `up --port PORT` chooses another")


def test_a_choice_among_several_ports_is_told_with_its_option(tmp_path: Path, taken: set[int]) -> None:
    made = opened(tmp_path)
    stack = Stack("shop", [WebApp("web", source="."), Mail("mail")])
    instance = replace(made.instance, stack=stack, ports={PortId("web"): 8000, PortId("mail:http"): 8025})
    lines = operation.automatic_lines(replace(made, instance=instance, automatic=(PortId("mail:http"),)))
    assert lines == [
        "port 8025 was chosen for mail.http, and is remembered; `up --port mail.http=PORT` chooses another"
    ]


def test_two_new_instances_do_not_choose_the_same_port(tmp_path: Path, taken: set[int]) -> None:
    registry = tmp_path / "registry"
    for name, expected in (("one", 8000), ("two", 8001), ("one", 8000)):
        made = opened(tmp_path, name)
        settings = Settings(tmp_path / "shop.py", name, tmp_path / "state", "embedded", registry)
        made.state.remember(made.record)
        with operation.registered(made, settings) as ready:
            assert ready.instance.ports == {"web": expected}
        assert operation.preview(made, settings).instance.ports == {"web": expected}


def test_an_instance_that_was_not_made_is_not_registered(tmp_path: Path, taken: set[int]) -> None:
    registry = Registry(tmp_path / "registry")
    settings = Settings(tmp_path / "shop.py", "review", tmp_path / "state", "embedded", tmp_path / "registry")
    made = opened(tmp_path)
    for remembers, listed in ((False, 0), (True, 1), (False, 1)):
        with suppress(StackError), operation.registered(made, settings):
            assert len(registry.entries()) == 1
            if remembers:
                made.state.remember(made.record)
            raise StackError("port-taken", "8000")
        assert len(registry.entries()) == listed


def test_the_holder_is_the_first_that_an_engine_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "listener", lambda *_: Listener(7, (("nginx", "-g"),)))
    for fleet in FLEETS.values():
        monkeypatch.setattr(type(fleet), "holder", lambda *_: None)
    assert operation.holder_of(80) == Holder("process 7 (nginx -g)", "`kill 7`")
    monkeypatch.setattr(type(FLEETS["compose"]), "holder", lambda *_: Holder("the container x", "`docker stop x`"))
    assert operation.holder_of(80).who == "the container x"
    monkeypatch.setattr(type(FLEETS["compose"]), "holder", lambda *_: None)
    monkeypatch.setattr(operation, "listener", lambda *_: None)
    assert "may not see" in operation.holder_of(80).who


@pytest.mark.parametrize("title", ["ssh: /tmp/stackctl-ssh-0/0c.control [mux]", "/usr/bin/ssh"])
def test_the_tunnel_of_an_instance_on_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    for fleet in FLEETS.values():
        monkeypatch.setattr(type(fleet), "holder", lambda *_: None)
    monkeypatch.setattr(operation, "listener", lambda *_: Listener(7, ((title,),)))
    made, host = "2026-11-24T12:56:45+00:00", "ssh://deploy@shop.test"
    state, file = tmp_path / ".stackctl" / "shop", tmp_path / "shop.py"
    registry = Registry(tmp_path / "registry")
    registry.enter(Entry("p", "shop", "compose", state, file, {PortId("web"): 8000}, made, host=host))
    found = operation.holder_of(8000, tmp_path / "registry")
    assert found.who == f"the tunnel to the instance 'shop' on {host}"
    assert found.fix == f"`stackctl --file {file} --instance shop stop`"
    assert operation.holder_of(8001, tmp_path / "registry").fix == "`kill 7`"


def test_a_port_of_udp_is_free_though_one_of_tcp_is_taken() -> None:
    with listening() as port:
        assert ports.is_free(port, udp=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        taken = server.getsockname()[1]
        assert not ports.is_free(taken, udp=True)
        found = ports.listener(taken, udp=True)
        assert found is not None
        assert found.process == os.getpid()
