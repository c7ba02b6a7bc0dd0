"""`up`, `stop`, `start` and `restart` of some components: what is touched, what is left, and what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack.commands.doctor import of_component
from stack.commands.plan import plan
from stack.commands.restart import restart
from stack.commands.start import start
from stack.commands.status import status
from stack.commands.stop import stop
from stack.commands.up import up
from stack.engines import ENGINES
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError
from stack.progress import Silence
from stack.settings import Settings
from stack.state import State
from stack.style import PLAIN
from stack.verdict import health
from stack.verdict.watch import Verdict
from stack.workflow import summary
from stack.workflow.opening import look
from stack.workflow.reacting import Reaction, react
from stack.workflow.watched import Changes
from tests.unit.fake_engine import FakeEngine, World

FILE = """\
from stack import Container, Job, Stack, WebApp, Worker
db = Container("db", image="i", process=["db"])
web = WebApp("web", source="app", publish=None, command=["serve"], uses=[db])
migrate = Job("migrate", of=web, command=["migrate"], before=[web])
worker = Worker("worker", of=web, command=["work"])
stack = Stack("shop", [web, migrate, worker, db])
"""


class Shop:
    """An instance of that stack on an engine in memory."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[str] = []
        self.world = World(step=self.steps.append)
        (folder / "app").mkdir()
        self.source = folder / "app" / "app.py"
        self.source.write_text("one")
        self.file = folder / "shop.py"
        self.file.write_text(FILE)
        self.settings = Settings(self.file, None, folder / "state", "embedded", folder / "registry")

    def up(self, *names: str) -> Any:
        return up(self.settings, Silence(), names=names).data

    def stop(self, *names: str) -> Any:
        return stop(self.settings, Silence(), names)

    def start(self, *names: str) -> Any:
        return start(self.settings, Silence(), names=names)

    def restart(self, *names: str) -> Any:
        return restart(self.settings, Silence(), names=names)

    def plan(self, *names: str) -> dict[str, str]:
        return {each.component: each.action for each in plan(self.settings, names=names).data.actions}

    def done(self, act: Callable[[], object]) -> list[str]:
        """Return which components an operation changed, and how."""
        before = dict(self.world.components)
        self.steps.clear()
        act()
        now = self.world.components
        return [step for step in self.steps if step.startswith("stop ")] + [
            name for name in now if name not in before or now[name].id != before[name].id
        ]

    @property
    def running(self) -> set[str]:
        return {name for name, state in self.world.components.items() if state.running}

    @property
    def stopped(self) -> tuple[str, ...]:
        record = State(self.settings.state_root / "shop").record()
        return record.stopped if record else ()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(tmp_path)
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(made.world, instance))
    for module in ("stack.workflow.converge", "stack.commands.start"):
        monkeypatch.setattr(f"{module}.await_ready", lambda _, engine, *__, **___: Verdict(0.0, engine.observe()))
    monkeypatch.setattr("stack.workflow.preparing.await_verified", lambda *_, **__: None)
    monkeypatch.setattr(health, "ask", lambda *_: {})
    return made


def test_up_of_some_starts_what_they_need_and_nothing_else(shop: Shop) -> None:
    assert shop.plan("db") == {"db": "create"}
    shop.up("db")
    assert (shop.running, shop.stopped) == ({"db"}, ("migrate", "web", "worker"))
    assert shop.plan("web") == {"web": "create", "migrate": "run", "db": "keep"}
    report = up(shop.settings, Silence(), names=["web"])
    assert report.shown(PLAIN).splitlines()[0].startswith("web is up (")
    assert (shop.running, shop.stopped) == ({"db", "web"}, ("worker",))
    shop.up()
    assert (shop.running, shop.stopped) == ({"db", "web", "worker"}, ())


def test_up_of_some_leaves_what_else_runs_as_it_is(shop: Shop) -> None:
    shop.up()
    shop.source.write_text("two, and longer")
    assert shop.done(lambda: shop.up("db")) == []
    assert shop.done(lambda: shop.up("worker")) == ["migrate", "worker"], "with the job that it waits for"
    assert {name for name, action in shop.plan().items() if action != "keep"} == {"web"}, "others stay pending"
    assert shop.done(shop.up) == ["web"]


def test_a_broken_source_of_others_is_no_hindrance(shop: Shop) -> None:
    shop.up()
    shop.source.parent.rename(shop.source.parent.with_name("away"))
    shop.up("db")
    assert shop.done(lambda: shop.restart("db")) == ["stop db", "db"]
    with pytest.raises(StackError, match="does not exist"):
        shop.restart("web")
    shop.source.parent.with_name("away").rename(shop.source.parent)
    assert set(shop.plan().values()) == {"keep"}, "what is known of their sources is not forgotten"


def test_what_was_stopped_is_stopped_on_purpose_until_the_next_up(shop: Shop) -> None:
    shop.up()
    report = shop.stop("worker", "worker")
    assert report.data.stopped == ("worker",)
    assert (shop.running, shop.stopped) == ({"web", "db"}, ("worker",))
    seen = status(shop.settings)
    assert (seen.data.state, seen.data.components["worker"].state) == ("partial", "stopped")
    assert seen.text.splitlines()[-1] == "  not running, on purpose: worker; `stackctl up` starts everything"
    found = plan(shop.settings).data.actions[2]
    assert (found.component, found.action, found.reasons, found.drift) == ("worker", "start", ("it is stopped",), False)
    shop.up()
    assert (shop.running, shop.stopped) == ({"web", "db", "worker"}, ())
    assert status(shop.settings).data.state == "up"


def test_doctor_does_not_complain_of_what_was_stopped(shop: Shop) -> None:
    shop.up()
    shop.stop("worker")
    opened = look(shop.settings)
    observed = health.observe(opened.instance, opened.engine)
    assert of_component("worker", observed.components["worker"], stopped=True).level == "ok"
    assert of_component("worker", None, stopped=True).level == "ok"
    assert of_component("worker", observed.components["web"], stopped=True).level == "ok"


def test_stop_says_which_others_use_what_it_stops(shop: Shop) -> None:
    shop.up()
    assert shop.stop("db").data.notices == ("web, worker use what is stopped, and may fail",)


def test_start_starts_what_is_needed_and_leaves_the_rest_stopped(shop: Shop) -> None:
    shop.up()
    shop.stop("db", "worker", "web")
    shop.start("web")
    assert (shop.running, shop.stopped) == ({"web", "db"}, ("worker",))
    shop.stop()
    assert shop.running == set()
    shop.start()
    assert (shop.running, shop.stopped) == ({"web", "db", "worker"}, ()), "as in Compose, start starts everything"


def test_start_makes_nothing_that_is_not_there(shop: Shop) -> None:
    shop.up("db")
    with pytest.raises(StackError) as raised:
        shop.start("web")
    assert (raised.value.code, raised.value.hint) == ("component-down", "`stackctl up web` makes it")
    shop.stop()
    shop.start()
    assert (shop.running, shop.stopped) == ({"db"}, ("migrate", "web", "worker"))


def test_restart_touches_nothing_but_what_was_named(shop: Shop) -> None:
    shop.up()
    before = {name: state.id for name, state in shop.world.components.items()}
    report = shop.restart("web")
    assert report.shown(PLAIN).splitlines()[0].startswith("web restarted (")
    assert report.command == "restart"
    assert {name for name, state in shop.world.components.items() if state.id != before[name]} == {"web"}


def test_restart_applies_what_is_pending_and_says_it(shop: Shop) -> None:
    shop.up()
    shop.source.write_text("two, and longer")
    report = shop.restart("web")
    assert "  web restarted, because its source changed: app.py" in report.shown(PLAIN).splitlines()
    assert "  migrate run, because its source changed: app.py" in report.shown(PLAIN).splitlines()
    assert shop.plan()["worker"] == "restart", "it runs from what was there before"
    shop.restart()
    assert set(shop.plan().values()) == {"keep"}


def test_restart_of_everything_leaves_what_was_stopped(shop: Shop) -> None:
    shop.up()
    shop.stop("worker")
    assert sorted(shop.done(shop.restart)) == ["db", "stop db", "stop web", "web"]
    assert (shop.running, shop.stopped) == ({"web", "db"}, ("worker",))


def test_a_component_that_was_removed_by_hand_is_not_left_out_on_purpose(shop: Shop) -> None:
    shop.up()
    del shop.world.components["worker"]
    shop.restart("web")
    assert shop.stopped == ()
    assert status(shop.settings).data.state == "degraded"


@pytest.mark.parametrize("name", ["up", "stop", "start", "restart", "plan"])
def test_an_unknown_name_is_refused_before_anything_is_done(shop: Shop, name: str) -> None:
    shop.up()
    shop.steps.clear()
    with pytest.raises(StackError) as raised:
        getattr(shop, name)("web", "nope")
    assert (raised.value.code, raised.value.exit_code) == ("service-unknown", 2)
    assert raised.value.message == "'nope' is not a component of shop"
    assert not [step for step in shop.steps if step.startswith(("apply", "stop", "start"))]


def test_a_job_is_not_restarted(shop: Shop) -> None:
    shop.up()
    with pytest.raises(StackError, match="migrate is a job, which runs to its end"):
        shop.restart("migrate")


def test_a_restart_of_what_uses_what_does_not_run_is_refused(shop: Shop) -> None:
    shop.up()
    shop.stop()
    with pytest.raises(StackError, match=r"web uses what does not run: db \(exited") as raised:
        shop.restart("web")
    assert (raised.value.code, shop.running) == ("component-down", set())
    shop.restart("web", "db")
    assert shop.running == {"web", "db"}


def test_what_has_no_version_before_is_said_to_be_down(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.up()
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(shop.world, instance, ComposeEngine))
    failure = StackError("crash-loop", "web keeps exiting")
    failure.component = "web"

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr("stack.workflow.reacting.converge", fail)
    said = {}
    for kind in ("source", "mount"):
        changes = Changes((shop.source,), components={"web": frozenset([kind])})
        said[kind] = react(shop.settings, Silence(), changes, Reaction(), first=False, timeout=5).line
    assert said["source"].endswith("what ran before runs on; the next change tries again")
    # Its container sees the files as they are, whichever version of it runs.
    assert said["mount"].endswith("web is not well; the next change tries again")


@pytest.mark.parametrize("name", ["stop", "start", "restart"])
def test_what_is_not_up_is_told_so(shop: Shop, name: str) -> None:
    with pytest.raises(StackError) as raised:
        getattr(shop, name)("web")
    assert raised.value.code == "instance-down"


def test_the_addresses_are_those_of_what_runs(shop: Shop) -> None:
    shop.up("db")
    opened = look(shop.settings)
    assert summary.url_lines(opened.instance, PLAIN) == []


def test_a_job_of_each_up_is_left_alone_by_what_is_no_up(shop: Shop) -> None:
    shop.file.write_text(FILE.replace('command=["migrate"]', 'command=["migrate"], always=True'))
    shop.up()
    assert "migrate" not in shop.done(lambda: shop.restart("web"))
    before = Reaction(behind=True)
    watched = shop.done(lambda: react(shop.settings, Silence(), Changes(), before, first=False, timeout=5))
    assert "migrate" not in watched
    assert "migrate" in shop.done(shop.up)
    shop.source.write_text("other")
    assert "migrate" in shop.done(lambda: shop.restart("web")), "its source changed"
