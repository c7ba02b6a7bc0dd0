"""Groups of components that are off until they are asked for: what is declared, turned on and off, and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack import Container, DeclarationError, Job, Stack, WebApp, Worker
from stack.commands.plan import plan
from stack.commands.reset import reset
from stack.commands.snapshot import save_snapshot
from stack.commands.status import status
from stack.commands.undo import undo
from stack.commands.up import up
from stack.engines import ENGINES
from stack.errors import StackError, UsageError
from stack.progress import Silence
from stack.settings import Settings
from stack.state import State
from stack.style import PLAIN
from stack.verdict.watch import Verdict
from stack.workflow import converge, keeping
from stack.workflow.asked import Switches
from stack.workflow.converge import UpOptions
from stack.workflow.finding import find_component
from stack.workflow.opening import look
from tests.ports import own_port
from tests.unit.fake_engine import FakeEngine, World, tar_of

web = WebApp("web", source="app", command=["serve"])


def box(name: str, **options: Any) -> Container:
    return Container(name, image="nginx:1.29", **options)


def grouped(groups: Any, *components: Any) -> Stack:
    return Stack("shop", [web, *components], groups=groups)


WRONG: dict[str, Callable[[], object]] = {
    "shop/groups: ['tools'] is not a mapping, like {'tools': [adminer]}": lambda: grouped(["tools"], box("adminer")),
    "shop/groups: 'Tools' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: grouped(
        {"Tools": [box("adminer")]}, box("adminer")
    ),
    "shop/groups/tools: is empty; a group has at least one component": lambda: grouped({"tools": []}),
    "shop/groups/tools: 'adminer' is not a list": lambda: grouped({"tools": "adminer"}, box("adminer")),
    "shop/groups/tools: 7 is neither a component nor the name of one": lambda: grouped({"tools": [7]}),
    "shop/groups/tools: 'adminer' is not in the stack (it has web)": lambda: grouped({"tools": [box("adminer")]}),
    "shop/groups/tools: 'adminer' is not in the stack (it has web, adminer)": lambda: grouped(
        {"tools": [box("adminer")]}, box("adminer", memory=99)
    ),
    "shop/groups/tools: 'adminer' is listed twice": lambda: grouped({"tools": ["adminer", "adminer"]}, box("adminer")),
    "shop/groups: hold every component; one at least is in no group, because groups are off at first": lambda: grouped(
        {"tools": [web]}
    ),
    "shop/groups/tools: has 'api', which 'user' needs and which is off at first; put 'user' into the group too, or "
    "leave the other out": lambda: grouped({"tools": ["api"]}, box("api"), box("user", uses=["api"])),
    "shop/groups/tools: has 'web', which 'worker' needs and which is off at first; put 'worker' into the group too, or "
    "leave the other out": lambda: grouped({"tools": [web]}, Worker("worker", of=web, command=["work"])),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def test_a_component_is_on_if_any_of_its_groups_is() -> None:
    stack = grouped({"tools": ["a", "b"], "more": ["b"]}, box("a"), box("b"))
    assert stack.selected([]).names == ("web",)
    assert stack.selected(["more"]).names == ("web", "b")
    assert stack.selected(["more"]).off == {"a": "tools"}
    assert (stack.selected(["tools"]).names, stack.selected(["tools"]).off) == (("web", "a", "b"), {})
    assert stack.selected([]).whole is stack


def test_alternatives_may_publish_the_same_port() -> None:
    def at(name: str, port: int = 80) -> Container:
        return box(name, ports={"http": 80}, publish={"http": port})

    stack = Stack("shop", [box("db"), at("plain"), at("debug")], groups={"usual": ["plain"], "debug": ["debug"]})
    assert stack.selected(["debug"]).names == ("db", "debug")
    with pytest.raises(DeclarationError) as raised:
        stack.selected(["usual", "debug"])
    assert raised.value.message == "shop/debug/publish: 80 is published by 'plain' already"
    for groups in ({"both": ["plain", "debug"]}, {"debug": ["debug"]}):
        with pytest.raises(DeclarationError):
            Stack("shop", [box("db"), at("plain"), at("debug")], groups=groups)


def test_alternatives_on_one_port_come_and_go(shop: Shop) -> None:
    shop.file.write_text(ALTERNATIVES.replace("PORT", str(own_port())))
    shop.up(on="usual")
    assert shop.running == ["db", "plain"]
    shop.up(on="debug", off="usual")
    assert shop.running == ["db", "debug"]
    assert [*save_snapshot(shop.settings, Silence(), "one", None).data.components] == ["db", "plain"]


def test_what_is_needed_and_off_is_named_with_the_option() -> None:
    stack = grouped({"tools": ["a"], "more": ["b"]}, box("a", uses=["b"]), box("b"))
    with pytest.raises(UsageError) as raised:
        stack.selected(["tools"])
    assert raised.value.message == "a needs b, which is in the group 'more', and that is off"
    assert raised.value.hint == "`stackctl up --with tools --with more` turns it on"


FILE = """\
from stack import *
web = Container("web", image="i", process=["web"], volumes={"own": "/own"})
adminer = Container("adminer", image="i", process=["adminer"], volumes={"notes": "/notes"}, uses=[web])
stack = Stack("shop", [web, adminer], groups={"tools": [adminer]})
"""


ALTERNATIVES = """\
from stack import *
def at(name, **options):
    return Container(name, image="i", process=[name], ports={"http": 80}, publish={"http": PORT}, **options)
db = Container("db", image="i", process=["db"], volumes={"data": "/data"})
picture = Container("picture", image="i")
plain, debug = at("plain", volumes={"kept": "/kept"}), at("debug")
stack = Stack("shop", [db, plain, debug, picture], groups={"usual": [plain], "debug": [debug], "docker": [picture]})
"""


class Shop:
    """An instance of that stack on an engine in memory."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.file = folder / "shop.py"
        self.file.write_text(FILE)
        self.settings = Settings(self.file, None, folder / "state", "embedded", folder / "registry")

    def up(self, on: str = "", off: str = "") -> None:
        up(self.settings, Silence(), groups=Switches(on.split(), off.split()))

    @property
    def running(self) -> list[str]:
        return [*self.world.components]

    def plan(self, on: str = "") -> list[str]:
        return plan(self.settings, groups=Switches(on.split())).shown(PLAIN).splitlines()


class RemovingEngine(FakeEngine):
    """An engine that removes what is no longer declared, as those for real do."""

    def apply(self, *arguments: Any, **named: Any) -> Any:
        for name in [name for name in self._world.components if name not in self._instance.stack.names]:
            del self._world.components[name]
        return super().apply(*arguments, **named)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path)
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: RemovingEngine(made.world, instance))
    for module in (converge, keeping):
        monkeypatch.setattr(module, "await_ready", lambda _, engine, *__, **___: Verdict(0.0, engine.observe()))
    return made


def test_a_group_stays_on_until_it_is_turned_off(shop: Shop) -> None:
    shop.up()
    assert shop.running == ["web"]
    shop.up(on="tools")
    assert shop.running == ["web", "adminer"]
    shop.up()
    assert shop.running == ["web", "adminer"]
    shop.up(off="tools")
    assert shop.running == ["web"]
    shop.up()
    assert shop.running == ["web"]


def test_plan_shows_what_a_group_would_do_and_changes_nothing(shop: Shop) -> None:
    shop.up()
    assert "+ adminer: create, because it is not there yet" in shop.plan(on="tools")
    assert not any("adminer" in line for line in shop.plan())
    assert "= off: tools; `stackctl up --with tools`" in shop.plan()
    assert look(shop.settings).record.groups == ()


def test_what_is_turned_off_is_removed_and_its_data_kept(shop: Shop) -> None:
    shop.up(on="tools")
    lines = plan(shop.settings, groups=Switches(off=["tools"])).shown(PLAIN).splitlines()
    assert "- adminer: remove, because its group tools is off" in lines
    assert "= data: adminer-notes: is kept (its group tools is off)" in lines


def test_a_saved_plan_is_applied_with_the_groups_that_it_was_made_with(shop: Shop, tmp_path: Path) -> None:
    shop.up()
    file = tmp_path / "next.json"
    plan(shop.settings, output=file, groups=Switches(on=["tools"]))
    with pytest.raises(StackError) as raised:
        up(shop.settings, Silence(), options=UpOptions(saved=file))
    assert raised.value.code == "plan-stale"
    assert raised.value.hint == f"`stackctl up --with tools --plan {file}`"
    up(shop.settings, Silence(), options=UpOptions(saved=file), groups=Switches(on=["tools"]))
    assert shop.running == ["web", "adminer"]


def test_data_of_a_group_that_is_off_is_saved_and_brought_back(shop: Shop) -> None:
    shop.up(on="tools")
    shop.world.files["adminer-notes"] = tar_of({"note": b"1"})
    kept = shop.world.files["adminer-notes"]
    shop.up(off="tools")
    assert [*save_snapshot(shop.settings, Silence(), "one", None).data.components] == ["web", "adminer"]
    reset(shop.settings, Silence(), lambda _: True)
    assert shop.world.files == {}
    undo(shop.settings, Silence(), lambda _: True)
    assert shop.world.files["adminer-notes"] == kept
    assert shop.running == ["web"]
    shop.up(on="tools")
    assert shop.world.files["adminer-notes"] == kept


def test_an_undone_reset_has_the_groups_that_were_on(shop: Shop) -> None:
    shop.up(on="tools")
    reset(shop.settings, Silence(), lambda _: True)
    undo(shop.settings, Silence(), lambda _: True)
    assert shop.running == ["web", "adminer"]


def test_status_says_which_groups_are_off(shop: Shop) -> None:
    shop.up()
    report = status(shop.settings)
    assert report.data.groups == {"tools": False}
    assert report.shown(PLAIN).splitlines()[-1] == "  off: tools; `stackctl up --with tools`"
    shop.up(on="tools")
    assert status(shop.settings).data.groups == {"tools": True}
    assert "off:" not in status(shop.settings).shown(PLAIN)


def test_a_component_that_is_off_is_named_with_its_group(shop: Shop) -> None:
    shop.up()
    with pytest.raises(StackError) as raised:
        find_component(look(shop.settings).instance, "adminer")
    assert raised.value.message == "'adminer' is in the group 'tools', which is off"
    assert raised.value.hint == "`stackctl up --with tools` turns it on"


@pytest.mark.parametrize(
    ("on", "off", "message", "hint"),
    [
        ("tool", "", "--with tool: 'tool' is not a group of shop", "it has: tools"),
        ("", "x", "--without x: 'x' is not a group of shop", "it has: tools"),
        ("tools", "tools", "--with and --without name the same group: tools", "leave one of them out"),
    ],
)
def test_a_wrong_option_is_refused(shop: Shop, on: str, off: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        shop.up(on, off)
    assert (raised.value.message, raised.value.hint) == (message, hint)
    assert not State(shop.settings.state_root / "shop").exists()


def test_a_group_that_is_no_longer_declared_is_forgotten(shop: Shop) -> None:
    shop.up(on="tools")
    shop.file.write_text(FILE.replace(', groups={"tools": [adminer]}', ""))
    assert look(shop.settings).record.groups == ()
    assert look(shop.settings).instance.stack.names == ("web", "adminer")


def test_a_job_runs_before_those_that_are_on() -> None:
    job = Job("migrate", image="alpine:3", before=[web, "adminer"])
    stack = grouped({"tools": ["adminer"]}, box("adminer"), job)
    assert stack.selected([])["migrate"].precedes == ("web",)
    assert stack.selected(["tools"])["migrate"].precedes == ("web", "adminer")
