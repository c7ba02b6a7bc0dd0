"""The configuration of supervisord, whole, and that it says to each program exactly what was declared."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.options import UnhosedConfigParser, expand  # type: ignore[import-untyped]

from stack import Bucket, Container, DeclarationError, Mail, Postgres, Proxy, Redis, Stack, WebApp
from stack.capabilities import Programs, Script
from stack.contents import Content, Entry
from stack.declaration import load_stack
from stack.engines.embedded import launch
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.render import command, copied_files, environment, quote, render
from stack.instance import Instance, default_ports
from stack.settings import PLAYGROUND
from stack.workload import PortId
from tests.cli import ROOT

FOLDER = Path("/project")
PROGRAMS = {
    "db": Programs({"postgres": Path("/wheels/pg/bin/postgres")}, tools=(Path("/wheels/pg/bin"),), major=18),
    "cache": Programs({"redis-server": Path("/wheels/valkey-server")}),
    "proxy": Programs({"caddy": Path("/venv/bin/caddy")}),
    "files": Programs({"rclone": Path("/venv/bin/rclone")}),
    "mail": Programs(scripts={"mail-catcher": Script(Path("/stack/catcher.py"), package="aiosmtpd")}),
}
db = Postgres("db")
cache = Redis("cache")


def instance(stack: Stack, **changes: Any) -> Instance:
    plain = Instance(
        name=stack.name,
        project=f"stackctl-{stack.name}-123456",
        stack=stack,
        folder=FOLDER / "stack",
        state=FOLDER / ".stackctl" / stack.name,
        ports=default_ports(stack),
    )
    return replace(plain, **changes)


def layout(of: Instance) -> Layout:
    home = Home(of.state / "embedded", Path("/tmp/stackctl-1000-abc"), of.state / "secrets")
    ports = {PortId(name): 40000 + position for position, name in enumerate(of.stack.names)} | dict(of.ports)
    copies = {file.name: of.stored_name(file) for file in copied_files(of)}
    return Layout(home, ports, PROGRAMS, "/venv/bin/python", Path("/venv/embedded"), copies=copies)


def web(**options: Any) -> WebApp:
    return WebApp("web", **({"source": "app", "command": ["run"]} | options))


CASES: Mapping[str, Instance] = {
    "playground": instance(load_stack(PLAYGROUND)),
    "port": instance(load_stack(PLAYGROUND), ports={"web": 9000}),
    "odd-text": instance(
        Stack(
            "shop",
            [
                web(
                    command=["node", "server.js", "--price=100% ;off", "#1", "a\nb", ""],
                    environment={"MOTTO": 'it\'s "50%" ; # \\n', "PGHOST": db.host, "PGPASSWORD_FILE": db.password},
                    uses=[db],
                ),
                db,
            ],
        ),
        folder=Path("/my $HOME/it's #1 %s"),
        state=Path("/my $HOME/it's #1 %s/.stackctl/shop"),
    ),
    "two-apps": instance(
        Stack(
            "shop",
            [
                web(uses=["api"], stop_grace=5),
                WebApp("api", source="api", port=8001, command=["api"], uses=[db, cache], environment={"PORT": 9}),
                Postgres("db", user="u", database="d"),
                Redis("cache", memory=256),
            ],
        )
    ),
    "bucket": instance(Stack("shop", [Bucket("files", ["uploads", "ads"], publish=True)])),
    "mail": instance(Stack("shop", [Mail("mail")])),
    "proxy": instance(Stack("shop", [web(publish=None), Proxy("proxy", {"/": "web"})])),
    "container": instance(
        Stack(
            "shop",
            [
                Container(
                    "box",
                    image="box:1",
                    process=["serve"],
                    files={"app.conf": "/etc/app.conf"},
                    restart="no",
                )
            ],
        ),
        contents={"box.app-conf": Content((Entry("", b"port 9000\n"),))},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_configuration_is_the_golden_one(name: str, golden: Callable[[str, str], None]) -> None:
    # Where this checkout is differs from one machine to the next; with a space in it the path is in quotes.
    text = render(CASES[name], layout(CASES[name]))
    golden(f"{name}.supervisord.conf", re.sub(rf"'?{re.escape(str(ROOT))}/(stack/[^\s']*)'?", r"/venv/\1", text))


def read(text: str) -> Mapping[str, Mapping[str, str]]:
    """The sections, as supervisord itself reads them."""
    parser = UnhosedConfigParser()
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def words(command_line: str) -> list[str]:
    """The words that `launch` gets from supervisord, and makes of them."""
    return [launch._restored(word) for word in shlex.split(expand(command_line, {}, "command"))]


@pytest.mark.parametrize("name", CASES)
def test_supervisord_reads_the_command_that_was_meant(name: str) -> None:
    case = CASES[name]
    sections = read(render(case, layout(case)))
    for component in case.stack.names:
        assert words(sections[f"program:{component}"]["command"]) == list(
            command(case, layout(case), component, component)
        )


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1))
def test_any_word_survives_the_configuration(said: list[str]) -> None:
    sections = read(f"[program:web]\ncommand = {quote(['x', *said, 'x'])}\nautostart = true\n")
    assert words(sections["program:web"]["command"]) == ["x", *said, "x"]
    assert sections["program:web"]["autostart"] == "true"


def test_nothing_listens_beyond_a_socket_of_its_owner() -> None:
    text = render(CASES["playground"], layout(CASES["playground"]))
    assert "inet_http_server" not in text
    assert read(text)["unix_http_server"]["chmod"] == "0700"


@pytest.mark.parametrize("name", CASES)
def test_every_server_listens_on_loopback_alone_and_asks_for_a_password(name: str) -> None:
    case = CASES[name]
    for component in case.stack:
        said = command(case, layout(case), component.name, component.name)
        if isinstance(component, Postgres):
            assert said[said.index("-h") + 1] == "127.0.0.1"
            assert "--password-file" in said
        if isinstance(component, Redis):
            assert said[said.index("--bind") + 1] == "127.0.0.1"
            assert "--aclfile" in said


def test_what_is_used_starts_first_and_ends_last() -> None:
    case = CASES["two-apps"]
    assert [case.stack.depth(name) for name in ("web", "api", "db", "cache")] == [2, 1, 0, 0]
    sections = read(render(case, layout(case)))
    assert [sections[f"program:{name}"]["priority"] for name in ("web", "api", "db")] == ["300", "200", "100"]


def test_an_app_gets_its_own_port_and_those_of_what_it_uses() -> None:
    case = CASES["port"]
    found = environment(case, layout(case), "web")
    assert (found["PORT"], found["DB_HOST"], found["DB_PORT"], found["CACHE_PORT"]) == (
        "9000", "127.0.0.1", "40001", "40002",
    )  # fmt: skip
    assert found["CACHE_PASSWORD_FILE"] == "/project/.stackctl/playground/secrets/cache_password"
    assert found["PATH"].startswith("/venv/bin:")


def test_an_app_without_a_command_is_told() -> None:
    case = instance(Stack("shop", [web(command=None)]))
    with pytest.raises(DeclarationError, match="shop/web/command"):
        render(case, layout(case))
