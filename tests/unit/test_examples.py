"""Each example is a stack that both engines can render, without a secret in it, and says how to start it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stack.capabilities import Programs
from stack.declaration import load_stack
from stack.engines.compose.render import render as render_compose
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.render import render as render_embedded
from stack.engines.embedded.render import sections
from stack.instance import Instance, default_ports
from stack.literals import literal_secrets
from stack.workload import PortId
from tests.cli import ROOT

FILES = sorted((ROOT / "examples").glob("*/stackfile.py"))
PROGRAMS = Programs(
    {name: Path("/wheels/bin") / name for name in ("postgres", "redis-server")}, tools=(Path("/wheels/bin"),), major=18
)

each = pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)


def instance_of(file: Path) -> Instance:
    stack = load_stack(file)
    return Instance(
        stack.name, f"stackctl-{stack.name}-123456", stack, file.parent, Path("/state"), default_ports(stack)
    )


@each
def test_an_example_renders_as_containers(file: Path) -> None:
    instance = instance_of(file)
    services = yaml.safe_load(render_compose(instance))["services"]
    assert set(services) == set(instance.stack.names)


@each
def test_an_example_renders_as_processes(file: Path) -> None:
    instance = instance_of(file)
    home = Home(Path("/state/embedded"), Path("/tmp/run"), Path("/state/secrets"))
    ports = [port.id for each in instance.stack for port in each.workload("process").ports]
    numbers: dict[PortId, int] = {port: 40000 + position for position, port in enumerate(ports)}
    layout = Layout(home, numbers, dict.fromkeys(instance.stack.names, PROGRAMS))
    assert set(sections(render_embedded(instance, layout))) == set(instance.stack.names)


@each
def test_an_example_has_no_secret_and_a_port_of_its_own(file: Path) -> None:
    instance = instance_of(file)
    assert not literal_secrets(instance.stack, file.read_text(encoding="utf-8"))
    others = [port for other in FILES if other != file for port in instance_of(other).ports.values()]
    assert not set(instance.ports.values()) & {*others, 8000}, "all run at once, and beside the playground"


@each
def test_the_readme_of_an_example_begins_with_two_commands(file: Path) -> None:
    text = (file.parent / "README.md").read_text(encoding="utf-8")
    _, block, _ = text.split("```", 2)
    assert block.splitlines() == ["sh", f"cd examples/{file.parent.name}", "stackctl up"]
    for port in instance_of(file).ports.values():
        assert f"http://localhost:{port}" in text
    assert f"](examples/{file.parent.name})" in (ROOT / "README.md").read_text(encoding="utf-8")
