"""The ports that the embedded engine chooses, and keeps from one `up` to the next."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stack import Container, Redis, Stack, WebApp
from stack.engines.embedded.ports import choose_ports, expected_ports, ports_text, read_ports
from stack.errors import StackError
from stack.instance import Instance
from stack.ports import any_free
from stack.workload import PortId

WEB, CACHE, SESSIONS = PortId("web"), PortId("cache"), PortId("sessions")


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    stack = Stack("shop", [Redis("cache"), Redis("sessions"), WebApp("web", source=".", command=["python3", "app.py"])])
    return Instance("shop", "shop", stack, tmp_path, tmp_path / "state", {WEB: any_free()})


def test_a_published_port_is_as_declared_and_the_others_differ(instance: Instance) -> None:
    chosen = choose_ports(instance, {}, keep=False)
    assert chosen[WEB] == instance.ports[WEB]
    assert set(chosen) == {WEB, CACHE, SESSIONS}
    assert len(set(chosen.values())) == 3


def test_the_first_port_is_the_first_declared_whichever_is_published(tmp_path: Path) -> None:
    declared = Container("app", image="x", process=["x"], ports={"http": 80, "console": 81}, publish={"console": 81})
    console = PortId.of("app", "console")
    instance = Instance("shop", "shop", Stack("shop", [declared]), tmp_path, tmp_path / "state", {console: any_free()})
    assert list(choose_ports(instance, {}, keep=False)) == [PortId.of("app", "http"), console]


def test_a_remembered_port_is_kept_while_it_is_free(instance: Instance) -> None:
    before = choose_ports(instance, {}, keep=False)
    assert choose_ports(instance, before, keep=False) == before


@pytest.mark.parametrize("keep", [True, False])
def test_a_remembered_port_in_use_is_kept_by_an_instance_that_runs(instance: Instance, keep: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert (choose_ports(instance, {CACHE: taken}, keep)[CACHE] == taken) is keep


def test_a_port_remembered_for_two_components_is_kept_by_one(instance: Instance) -> None:
    port = any_free()
    chosen = choose_ports(instance, {CACHE: port, SESSIONS: port}, keep=True)
    assert chosen[CACHE] == port
    assert chosen[SESSIONS] != port


def test_a_port_that_is_not_chosen_yet_shows_its_number_in_a_container(instance: Instance) -> None:
    expected = expected_ports(instance, {CACHE: 7001})
    assert expected == {WEB: instance.ports[WEB], CACHE: 7001, SESSIONS: 6379}


def test_chosen_ports_are_read_back(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    assert read_ports(file) == {}
    file.write_text(ports_text({CACHE: 7001}))
    assert read_ports(file) == {CACHE: 7001}


@pytest.mark.parametrize("text", ["", "[]", '{"cache": "none"}'])
def test_a_damaged_file_of_ports_is_an_error_with_a_fix(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)
    with pytest.raises(StackError, match="is damaged") as raised:
        read_ports(tmp_path / "ports.json")
    assert raised.value.code == "state-unusable"
    assert "delete this file" in raised.value.hint
