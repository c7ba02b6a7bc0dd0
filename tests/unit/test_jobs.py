"""Jobs: what they are, when they run and in which order, and what waits for one that fails."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Container, DeclarationError, Job, Postgres, Redis, Stack, WebApp, Worker
from stack.applied import Applied, Done, FileState, files_digest
from stack.capabilities import Programs
from stack.comparison import Declared, DeclaredJob, make_plan
from stack.component import Component
from stack.engines import ENGINES
from stack.engines.compose import render
from stack.engines.compose.revisions import _lasting
from stack.engines.docker.networks import plan_networks
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.render import ends, sections
from stack.engines.embedded.render import render as render_embedded
from stack.engines.process import FinishedJob
from stack.errors import StackError
from stack.fields import fingerprint
from stack.instance import Instance, default_ports
from stack.observed import ComponentState, Observed, instance_state
from stack.plan import Action
from stack.progress import Silence
from stack.settings import Settings
from stack.state import State
from stack.verdict.done import with_done
from stack.verdict.jobs import await_done
from stack.verdict.watch import Verdict, await_ready
from stack.workflow import converge as converge_module
from stack.workflow import ports, preparing
from stack.workflow.converge import UpOptions, converge
from stack.workflow.journal import Journal
from stack.workflow.opening import change
from stack.workload import Once, PortId, VolumeId
from tests.unit.clocks import FakeClock
from tests.unit.fake_engine import ENDED, FakeEngine, FakeJob, World

db, cache = Postgres("db"), Redis("cache")
web = WebApp("web", source="app", command=["serve"], uses=[db], environment={"LOG": "info"}, volumes={"media": "/m"})


def job(name: str = "migrate", **options: Any) -> Job:
    values: dict[str, Any] = {"of": web, "command": ["migrate"]}
    return Job(name, **(values | options))


def shop(*others: Component) -> Stack:
    return Stack("shop", [web, db, cache, *others])


WRONG: dict[str, Callable[[], object]] = {
    "migrate/command: is missing, and 'web' runs the image's own already": lambda: Job("migrate", of=web),
    "migrate/command: () is not a list of words, like ['python', 'app.py']": lambda: job(command=()),
    "migrate/of: 'web' is neither a WebApp nor a Container": lambda: job(of="web"),
    "migrate/source: is that of 'web' already; leave it out, or `of`": lambda: job(source="."),
    "migrate/before: 7 is neither a component nor the name of one": lambda: job(before=[7]),
    "migrate/before: 'web' is not a list": lambda: job(before="web"),
    "migrate/before: 'web' is listed twice": lambda: job(before=[web, "web"]),
    "migrate/always: 1 is neither True nor False": lambda: job(always=1),
    "migrate/timeout: 0 is not an amount in seconds (at least 1)": lambda: job(timeout=0),
    "migrate/timeout: '1h' is not a whole number of seconds (at least 1)": lambda: job(timeout="1h"),
    "migrate/health: Job has no such field": lambda: job(health=None),
    "shop/migrate/before: 'api' is not in the stack (it has web, db, cache, migrate)": lambda: shop(
        job(before=["api"])
    ),
    "shop/migrate/before: goes in a circle: db -> migrate -> db": lambda: shop(job(before=[db])),
    "shop/b/before: goes in a circle: a -> b -> a": lambda: shop(job("a", before=["b"]), job("b", before=["a"])),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def test_a_job_has_what_its_app_has_and_ends() -> None:
    stack = shop(job(environment={"LOG": "debug"}, always=True, timeout=5))
    own, app = stack.workload("migrate", "container"), stack.workload("web", "container")
    assert (own.source, own.image_of, own.volumes, own.command) == ("app", "web", app.volumes, ("migrate",))
    assert (own.environment["LOG"], own.environment["DB_HOST"]) == ("debug", app.environment["DB_HOST"])
    assert (own.once, app.once, own.ports, own.probe) == (Once(True, 5), None, (), None)
    assert stack.workload("migrate", "process").once == Once(True, 5)


def test_components_wait_for_the_jobs_before_them_and_those_they_use() -> None:
    site = WebApp("site", image="site", uses=["seed"], publish=None)
    stack = Stack("shop", [site, web, job(before=[web, "seed"]), job("seed", before=[]), db])
    assert stack.order.awaits("web") == ("db", "migrate")
    assert stack.order.awaits("site") == ("seed",)
    assert stack.order.below("site") == {"seed", "migrate", "db"}
    assert stack.jobs == ("migrate", "seed")
    assert [name for name in stack.order.names if name in ("seed", "migrate", "db")] == ["db", "migrate", "seed"]


def test_a_worker_waits_for_what_comes_before_its_app() -> None:
    worker = Worker("worker", of=web, command=["work"], uses=[])
    stack = shop(worker, job(before=[web]), job("seed", before=["migrate"]))
    assert stack.order.awaits("worker") == ("migrate",)
    assert stack.order.below("worker") == {"seed", "migrate", "db"}
    assert services(stack)["worker"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert "worker" not in stack.order.awaits("migrate")


def test_jobs_of_an_app_do_not_wait_for_each_other_by_themselves() -> None:
    stack = shop(job(before=[web]), job("seed", before=[web]))
    assert (stack.order.awaits("migrate"), stack.order.awaits("seed")) == (("db",), ("db",))


def test_an_app_may_use_a_job_that_is_of_it() -> None:
    own = WebApp("web", source="app", uses=[db, "migrate"])
    assert Stack("shop", [own, db, job(of=own)]).order.awaits("migrate") == ("db",)


def instance(stack: Stack, folder: Path = Path("/home/me/shop")) -> Instance:
    return Instance("shop", "shop-1", stack, folder, folder / ".stackctl", dict(default_ports(stack)))


def services(stack: Stack) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(render.render(instance(stack)))["services"]
    return found


def test_compose_runs_a_job_before_what_waits_for_it() -> None:
    found = services(shop(job(before=[web])))
    assert found["migrate"]["restart"] == "no"
    assert found["migrate"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert found["web"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert {found[name]["restart"] for name in ("web", "db", "cache")} == {"unless-stopped"}


def test_a_new_job_makes_no_other_container_of_what_waits_for_it() -> None:
    without, with_job = (render.fields(instance(stack))["web"] for stack in (shop(), shop(job(before=[web]))))
    assert without == with_job


def test_what_waits_for_a_job_shares_no_network_with_it() -> None:
    site = WebApp("site", image="site", uses=["migrate"], publish=None)
    networks = plan_networks(shop(site, job()))
    assert not any({"site", "migrate"} <= set(each.members) for each in networks.values())


def networks(*components: Component) -> dict[str, tuple[str, ...]]:
    return {name: network.members for name, network in plan_networks(shop(*components)).items()}


def test_a_job_is_on_the_networks_of_its_app_and_costs_none() -> None:
    assert networks(job(before=[web])) == networks() | {
        "web": ("web", "migrate"),
        "web.db": ("web", "db", "migrate"),
    }


def test_a_job_has_networks_of_its_own_only_for_what_its_app_does_not_use() -> None:
    assert networks(job(uses=[web, db, cache])) == {
        "web": ("web", "migrate"),
        "web.db": ("web", "db", "migrate"),
        "migrate.cache": ("migrate", "cache"),
    }
    assert networks(job(uses=[])) == networks() | {"web": ("web", "migrate")}, "it does not reach the database"


def test_a_job_on_its_own_has_its_own_networks() -> None:
    assert networks(job(of=None, image="tools", uses=[db])) == networks() | {
        "migrate": ("migrate",),
        "migrate.db": ("migrate", "db"),
    }


def test_a_job_of_an_app_without_a_way_out_has_one() -> None:
    api = Container("api", image="api", ports={"http": 80}, egress=False)
    stack = Stack("shop", [api, Job("fill", of=api, command=["fill"])])
    assert {name: (each.members, each.internal) for name, each in plan_networks(stack).items()} == {
        "fill": (("fill",), False),
        "api": (("api",), True),
    }


def test_going_back_to_a_revision_runs_no_job_again() -> None:
    assert _lasting(render.render(instance(shop(job()))), ()) == ["web", "db", "cache"]
    assert _lasting(render.render(instance(shop())), ()) == [], "all of them, in the words of before"
    assert _lasting(render.render(instance(shop(job()))), ["web", "fill", "later"]) == ["web"]


def embedded(stack: Stack, only: tuple[str, ...] = (), others: Mapping[str, str] | None = None) -> dict[str, str]:
    made = instance(stack)
    home = Home(Path("/h"), Path("/r"), Path("/s"))
    numbers = {PortId("web"): 8000, PortId("db"): 5432, PortId("cache"): 6379}
    programs = {
        "db": Programs({"postgres": Path("/postgres")}, tools=(Path("/bin"),), major=18),
        "cache": Programs({"redis-server": Path("/redis-server")}, tools=(Path("/bin"),)),
    }
    return sections(render_embedded(made, Layout(home, numbers, programs), only, others))


def test_supervisord_starts_a_job_neither_by_itself_nor_again() -> None:
    found = embedded(shop(job(before=[web])))
    assert {name for name, section in found.items() if ends(section)} == {"migrate"}
    assert "autostart = false\nautorestart = false" in found["migrate"]
    assert found["web"] == embedded(shop())["web"], "what waits for a new job runs on"


def test_a_part_of_a_configuration_is_replaced_and_the_rest_is_kept() -> None:
    before = embedded(shop(job()))
    changed = shop(job(command=["other"]), Worker("worker", of=web, command=["work"]))
    merged = embedded(changed, ("migrate",), before)
    assert {name: text.strip() for name, text in merged.items() if name != "migrate"} == {
        name: text.strip() for name, text in before.items() if name != "migrate"
    }
    assert merged["migrate"].strip() == embedded(changed)["migrate"].strip()


FIELDS = {"command": "migrate"}
FILES = {"manage.py": FileState(1, 2, 3, "a")}
DONE = Done(fingerprint(FIELDS), ENDED.isoformat(), files_digest(FILES), {"db_password": "d"}, {"db": "db"}, "i1")
MADE = Applied(wanted="up", fields={fingerprint(FIELDS): FIELDS}, sources={"migrate": FILES}, jobs={"migrate": DONE})
GONE = ComponentState("1", "exited", "none", 0, 0, False, None, "", once=True)


def planned(
    made: Applied = MADE,
    state: ComponentState | None = GONE,
    fields: Mapping[str, str] = FIELDS,
    stores: frozenset[str] = frozenset({"db"}),
    **changes: Any,
) -> Action:
    values: dict[str, Any] = {
        "stores": {VolumeId("db"): "db"},
        "sources": {"migrate": FILES},
        "secrets": {"db_password": "d"},
        "reads": {"migrate": ["db_password"]},
        "jobs": {"migrate": DeclaredJob(False, {VolumeId("db"): "db"})},
    }
    declared = Declared({"migrate": fields}, **(values | changes))
    observed = Observed({"migrate": state} if state else {}, images={"migrate": "i1"}, stores=stores)
    return make_plan("shop", "compose", declared, made, observed).actions[0]


def of_store(store: str, always: bool = False) -> Mapping[str, DeclaredJob]:
    return {"migrate": DeclaredJob(always, {VolumeId("db"): store})}


REASONS: dict[str, Callable[[], Action]] = {
    "migrate: keep": planned,
    "migrate: run, because it has not been done yet": lambda: planned(Applied(), None, stores=frozenset()),
    "migrate: run, because it has not been done on this data yet": lambda: planned(Applied(), None),
    "migrate: run, because it runs at each `up`": lambda: planned(jobs=of_store("db", always=True)),
    "migrate: run, because it failed the last time (exit code 3)": lambda: planned(state=replace(GONE, exit_code=3)),
    "migrate: run, because its last run was not seen to end": lambda: planned(state=replace(GONE, state="running")),
    "migrate: run, because command migrate → migrate all": lambda: planned(fields={"command": "migrate all"}),
    "migrate: run, because its declaration changed": lambda: planned(
        replace(MADE, fields={}), fields={"command": "migrate all"}
    ),
    "migrate: run, because the data of db is made again": lambda: planned(stores=frozenset()),
    "migrate: run, because the data of db was replaced": lambda: planned(
        jobs=of_store("db.2"), stores=frozenset({"db.2"})
    ),
    "migrate: run, because the secret db_password changed": lambda: planned(secrets={"db_password": "e"}),
    "migrate: run, because its source changed: manage.py": lambda: planned(
        sources={"migrate": {"manage.py": FileState(1, 2, 3, "b")}}
    ),
    "migrate: run, because its source changed": lambda: planned(
        replace(MADE, jobs={"migrate": replace(DONE, source="of an up that was killed")})
    ),
    "migrate: run, because its image is another one now": lambda: planned(
        replace(MADE, jobs={"migrate": replace(DONE, image="i0")})
    ),
}


@pytest.mark.parametrize(("said", "plan"), REASONS.items(), ids=REASONS)
def test_a_job_runs_for_a_reason_only(said: str, plan: Callable[[], Action]) -> None:
    assert str(plan()) == said


def test_a_job_whose_container_is_gone_is_kept() -> None:
    assert planned(state=None).kind == "keep"
    assert planned(state=replace(GONE, state="created")).kind == "keep"


def test_a_job_that_is_kept_builds_nothing() -> None:
    assert not planned(replace(MADE, sources={})).builds
    assert planned(replace(MADE, sources={}, jobs={})).builds


def test_the_record_of_a_job_goes_with_the_data_it_changed() -> None:
    other = replace(DONE, stores={"orders": "orders"})
    both = replace(MADE, jobs={"migrate": DONE, "fill": other})
    assert both.switched(["db"], {}, [], {}).jobs == {"fill": other}
    assert both.begun("fill").jobs == {"migrate": DONE}
    assert both.made({}, [], {}, {}).fields == {fingerprint(FIELDS): FIELDS}, "to say later what changed"


def test_a_rotated_password_is_no_reason_to_run_again() -> None:
    rotated = MADE.rotated({"db_password": "new", "other": "x"}, {}, ["db_password"])
    assert rotated.jobs["migrate"].secrets == {"db_password": "new"}


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    state = State(tmp_path / "shop")
    with state.locked(Silence()):
        state.save_applied(MADE)
    assert state.applied().jobs == MADE.jobs


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (None, "done"),
        (GONE, "done"),
        (replace(GONE, state="created"), "done"),
        (replace(GONE, exit_code=3), "exited (3)"),
        (replace(GONE, state="running"), "running"),
    ],
)
def test_a_recorded_job_is_done_unless_it_ran_otherwise(state: ComponentState | None, word: str) -> None:
    observed = Observed({"migrate": state} if state else {})
    shown = with_done(instance(shop(job())), observed, {"migrate": DONE}).components["migrate"]
    assert (shown.summary, shown.well) == (word, word == "done")
    assert word != "done" or shown.ended == ENDED


def test_a_job_is_not_done_before_that_is_recorded() -> None:
    shown = with_done(instance(shop(job())), Observed({"migrate": GONE}), {}).components["migrate"]
    assert (shown.summary, shown.well) == ("exited (0)", False)


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ({"web": "healthy", "migrate": "done"}, "up"),
        ({"web": "exited", "migrate": "done"}, "stopped"),
        ({"web": "healthy", "migrate": "exited"}, "degraded"),
        ({"web": "healthy"}, "degraded"),
        ({"migrate": "done"}, "stopped"),
    ],
)
def test_an_instance_is_up_when_its_jobs_are_done(words: dict[str, Any], state: str) -> None:
    assert instance_state(words, ["web", "migrate"]) == state


def test_an_instance_of_jobs_alone_is_up_when_they_are_done() -> None:
    assert instance_state({"a": "done", "b": "done"}, ["a", "b"]) == "up"


def failing(world: World, waits: float = 600, **options: Any) -> StackError:
    clock = FakeClock()
    engine = FakeEngine(world, instance(shop(job(**options))))
    with pytest.raises(StackError) as raised:
        await_done(engine._instance, engine, FinishedJob(), "migrate", waits, Silence(), clock)
    return raised.value


def test_a_failed_job_is_told_with_its_code_its_lines_and_the_cause() -> None:
    lines = ["ModuleNotFoundError: No module named 'django'"]
    error = failing(World({"migrate": replace(GONE, exit_code=3)}, log=lines))
    assert error.code == "module-missing"
    assert error.message == "migrate can't import django; the job migrate failed (exit code 3)"
    assert error.output == f"migrate: {lines[0]}"
    plain = failing(World({"migrate": replace(GONE, exit_code=137)}))
    assert (plain.code, plain.message) == ("job-failed", "the job migrate failed (exit code 137: SIGKILL)")
    killed = failing(World({"migrate": replace(GONE, exit_code=137, oom_killed=True)}))
    assert killed.code == "out-of-memory"
    assert [each.hint for each in (error, plain, killed) if "no data was touched" in each.hint] == []


def test_a_job_that_does_not_end_is_stopped() -> None:
    world = World({"migrate": replace(GONE, state="running")}, log=["waiting"])
    error = failing(world, waits=5)
    assert (error.code, error.output) == ("job-timeout", "migrate: waiting")
    assert error.message == "the job migrate did not end within 5 s, and was stopped"
    assert world.components["migrate"].state == "exited"


def test_a_job_that_is_nowhere_after_its_start_has_failed() -> None:
    assert failing(World()).message == "migrate was started, and is gone"


def test_a_job_that_the_engine_refuses_fails_in_its_words() -> None:
    engine = FakeEngine(World(), instance(shop(job())))
    clock = FakeClock()
    with pytest.raises(StackError, match="as the engine says"):
        await_done(engine._instance, engine, FakeJob(clock, looks=2, exit_code=1), "migrate", 600, Silence(), clock)


def test_what_was_started_without_its_job_says_so_at_once() -> None:
    world = World({"web": replace(GONE, state="running", once=False)})
    engine = FakeEngine(world, instance(Stack("shop", [web, db, job(before=[web])])))
    with pytest.raises(StackError) as raised:
        await_ready(engine._instance, engine, FinishedJob(), Observed({}), 60, Silence(), clock=FakeClock())
    assert raised.value.code == "job-pending"
    assert raised.value.message == "migrate has not been done, and web waits for that"


class Shop:
    """A stack in a folder, on an engine in memory."""

    def __init__(self, folder: Path) -> None:
        self.steps: list[str] = []
        self.world = World(step=self.steps.append)
        self.file = folder / "stack.py"
        self.settings = Settings(self.file, None, folder / "state", "embedded", folder / "registry")

    def up(self, jobs: str, components: str = "web, other, db, cache") -> list[str]:
        """Return what was applied, in order."""
        self.file.write_text(
            "from stack import Container, Job, Postgres, Redis, Stack\n"
            "db, cache = Postgres('db'), Redis('cache')\n"
            "web = Container('web', image='web', process=['serve'], uses=[db])\n"
            "other = Container('other', image='other', process=['serve'], uses=[cache])\n"
            f"stack = Stack('shop', [{components}, {jobs}])\n"
        )
        self.steps.clear()
        with change(self.settings, Silence()) as opened:
            converge(opened, Journal(opened.state), Silence(), UpOptions())
        return self.applied

    @property
    def applied(self) -> list[str]:
        return [step.removeprefix("apply ") for step in self.steps if step.startswith("apply ")]

    @property
    def jobs(self) -> Mapping[str, Done]:
        return State(self.settings.state_root / "shop").applied().jobs


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(tmp_path)
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "password")
    monkeypatch.setattr(ports, "is_free", lambda *_: True)
    monkeypatch.setattr(converge_module, "await_ready", lambda _, engine, *__, **___: Verdict(0, engine.observe()))
    monkeypatch.setattr(preparing, "await_verified", lambda *_: None)
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(shop.world, instance))
    return shop


MIGRATE = "Job('migrate', of=web, command=['migrate'], before=[web])"


def test_what_a_job_needs_is_made_first_and_what_waits_for_it_last(made: Shop) -> None:
    assert made.up(MIGRATE) == ["other", "db", "cache", "migrate", "web", "other", "db", "cache"]
    assert made.jobs["migrate"].ended == ENDED.isoformat()
    assert made.jobs["migrate"].stores == {"db": "db-pgdata"}


def test_a_job_that_is_done_does_not_run_again(made: Shop) -> None:
    made.up(MIGRATE)
    assert made.up(MIGRATE) == []
    made.world.components.clear()
    assert "migrate" not in made.up(MIGRATE), "after `down` there is nothing else to do for it"


def test_a_changed_job_runs_without_what_waits_for_it_being_replaced(made: Shop) -> None:
    made.up(MIGRATE)
    before = made.world.components["web"]
    assert made.up(MIGRATE.replace("['migrate']", "['migrate', 'more']"))[0] == "migrate"
    assert made.world.components["web"] == before


def test_a_job_runs_again_on_other_data(made: Shop) -> None:
    made.up(MIGRATE)
    made.world.stores.clear()
    made.world.mounted.clear()
    made.world.components.clear()
    assert "migrate" in made.up(MIGRATE)


def test_jobs_run_in_the_order_in_which_they_wait_for_each_other(made: Shop) -> None:
    smoke = "Job('smoke', image='web', command=['smoke'], uses=[web], always=True)"
    seed = "Job('seed', of=web, command=['seed'], uses=[db, 'migrate'], before=[web])"
    ran = made.up(f"{smoke}, {seed}, {MIGRATE}")
    assert [name for name in ran if name in ("migrate", "seed", "smoke")] == ["migrate", "seed", "smoke"]
    assert ran.index("web") < ran.index("smoke"), "what it uses is up by then"
    assert made.up(f"{smoke}, {seed}, {MIGRATE}")[0] == "smoke", "it alone runs at each `up`"


def test_what_waits_for_a_failed_job_is_not_made(made: Shop) -> None:
    made.world.ends["migrate"] = 3
    with pytest.raises(StackError) as raised:
        made.up(MIGRATE)
    assert raised.value.message == "the job migrate failed (exit code 3)"
    assert raised.value.hint.endswith("; web not started")
    assert "web" not in made.applied
    assert made.jobs == {}
    made.world.ends.clear()
    assert "migrate" in made.up(MIGRATE)


def test_what_runs_is_not_replaced_after_a_failed_job(made: Shop) -> None:
    made.up(MIGRATE)
    before = made.world.components["web"]
    made.world.ends["migrate"] = 3
    with pytest.raises(StackError) as raised:
        made.up(MIGRATE.replace("['migrate']", "['migrate', 'more']"))
    assert raised.value.hint.endswith("; web not replaced")
    assert made.world.components["web"] == before
    assert made.jobs == {}, "what a run that failed has done is not known"


def test_a_secret_that_changed_before_a_failed_job_is_given_to_all_again(made: Shop) -> None:
    before_all = MIGRATE.replace("before=[web]", "uses=[db, cache], before=[web, other]")
    made.up(before_all)
    secret = made.settings.state_root / "shop" / "secrets" / "cache_password"
    first = secret.read_text()
    secret.chmod(0o600)
    secret.write_text("another")
    made.world.ends["migrate"] = 3
    other, cache = made.world.components["other"], made.world.components["cache"]
    with pytest.raises(StackError):
        made.up(before_all.replace("['migrate']", "['migrate', 'more']"))
    assert (made.world.components["other"], made.world.components["cache"] == cache) == (other, False)
    secret.write_text(first)
    cache = made.world.components["cache"]
    made.world.ends.clear()
    made.up(before_all)
    assert made.world.components["cache"] != cache, "it ran with the other one"


def test_what_a_failed_job_left_as_it_was_is_not_replaced_later(made: Shop) -> None:
    made.up(MIGRATE)
    made.world.ends["migrate"] = 3
    with pytest.raises(StackError):
        made.up(MIGRATE.replace("['migrate']", "['migrate', 'more']"))
    components = {name: made.world.components[name] for name in ("web", "other", "db", "cache")}
    made.world.ends.clear()
    made.up(MIGRATE)
    assert {name: made.world.components[name] for name in components} == components, "none has another secret"


def test_a_job_that_is_broken_off_is_stopped(made: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "await_done", interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.up(MIGRATE)
    assert made.steps[-1] == "stop migrate"
    assert made.jobs == {}
