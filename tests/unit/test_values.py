"""Secrets and URLs as values of variables: what may hold one, what it stands for, and where it is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack import BIND, PORT, Container, DeclarationError, Job, Postgres, Redis, Schedule, Stack, WebApp, Worker, health
from stack.commands.plan import plan
from stack.engines.compose import files, render
from stack.engines.docker import resolving
from stack.engines.embedded import home_files, launch
from stack.engines.embedded import render as embedded
from stack.engines.embedded.layout import Layout, home_of
from stack.instance import Instance
from stack.references import Reference, SecretReference, SecretValue, Text, Value, deferred, resolved
from stack.settings import Settings
from stack.state import State
from stack.workflow.opening import look
from stack.workflow.planning import secrets_read
from stack.workload import PortId, Target

# A password of a user's own, with all that a URL, a shell, a dotenv file and YAML take for their own.
SECRET = "p@ss:/?#[]%$HOME'\"\\ é"
ENCODED = "p%40ss%3A%2F%3F%23%5B%5D%25%24HOME%27%22%5C%20%C3%A9"
db = Postgres("db", user="shop", database="orders")
cache = Redis("cache")
api = WebApp("api", source="app", port=9000, publish=None, command=["serve"])
box = Container("box", image="nginx:1.29", ports={"http": 80, "admin": 81}, process=["run"])
MISPLACED = "holds a secret; one stands in `environment` alone, because all else is seen by many"


def web(**options: Any) -> WebApp:
    values: dict[str, Any] = {"source": "app", "command": ["serve"], "uses": [db, cache, api, box]}
    return WebApp("web", **(values | options))


def stack(**environment: Any) -> Stack:
    return Stack("shop", [web(environment=environment), db, cache, api, box])


def instance(folder: Path, declared: Stack) -> Instance:
    """An instance whose state has each secret."""
    state = State(folder / "state" / "shop")
    ports = {PortId.of("web"): 8000}
    made = Instance("shop", "stackctl-shop-0a1b2c", declared, folder, state.folder, ports)
    for secret in ("db_password", "cache_password"):
        state.write(f"secrets/{secret}", SECRET)
    return made


def embedded_layout(made: Instance) -> Layout:
    ports = {
        port.id: 20000 + position
        for position, name in enumerate(made.stack.names)
        for port in made.stack.workload(name, "process").ports
    }
    return Layout(home_of(made), ports, {})


WRONG: dict[str, Callable[[], object]] = {
    f"web/command: {MISPLACED}": lambda: web(command=["app", db.password]),
    f"web/source: {MISPLACED}": lambda: web(source=db.url),
    f"web/health: {MISPLACED}": lambda: web(health=f"/?key={db.password}"),
    f"box/image: {MISPLACED}": lambda: Container("box", image=f"box:{db.password}"),
    f"box/args/A: {MISPLACED}": lambda: Container("box", source="app", args={"A": db.password}),  # type: ignore[dict-item]
    f"box/entrypoint: {MISPLACED}": lambda: Container("box", image="box", entrypoint=[f"--dsn={db.url}"]),
    f"box/process: {MISPLACED}": lambda: Container("box", image="box", process=[cache.url]),
    f"box/health: {MISPLACED}": lambda: Container("box", image="box", health=health.command(["ok", f"{db.password}"])),
    "db/user: is a reference; these stand in `environment` and in `command` alone": lambda: Postgres(
        "db",
        user=cache.host,  # type: ignore[arg-type]
    ),
    "web/environment/A_FILE: gets the path of a file: give the secret by itself, like db.password, not in a text": (
        lambda: web(environment={"A_FILE": f"{db.password}!"})
    ),
    "shop/web/environment/A_FILE: db.url has no file; pass its value in a variable without _FILE": lambda: stack(
        A_FILE=db.url
    ),
    "shop/web/environment/A: refers to 'other', which is not in its uses": lambda: stack(
        A=f"{Postgres('other').url}?sslmode=disable"
    ),
    "web/environment/A: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(environment={"A": f"{db.url}".upper()})
    ),
    "web/environment/B: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(environment={"B": f"{[db.password]}"})
    ),
    "db/password: only the engine knows it, so it can't be formatted as '>9'": lambda: f"{db.password:>9}",
    "box/ports: 'x' is none of its ports; it has http, admin": lambda: box.url("x"),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


@pytest.mark.parametrize("kind", [str, repr])
def test_a_reference_to_a_secret_shows_no_value(kind: Callable[[object], str]) -> None:
    assert "password" in kind(db.password)


def shown(declared: Stack, target: Target, name: str = "web") -> dict[str, str]:
    """The variables of a component, each part as its component and field, a secret in brackets."""

    def part(value: Any) -> str:
        if not isinstance(value, SecretValue):
            return f"{value.component}.{value.field}{value.name}"
        return f"[{value.secret.component}.{value.secret.field}{' encoded' if value.encoded else ''}]"

    environment = declared.workload(name, target).environment
    return {variable: resolved(value, part) for variable, value in environment.items()}


def test_a_value_is_a_variable_and_a_file_is_a_path() -> None:
    declared = stack(PGPASSWORD=db.password, KEY_FILE=db.password)
    workload = declared.workload("web", "container")
    assert workload.environment["PGPASSWORD"] == SecretValue(db.password)
    assert workload.environment["KEY_FILE"] == SecretReference("db", "password")
    assert (workload.revealed, workload.secrets) == ((db.password,), (db.password,))


def test_a_url_is_made_of_the_facts_of_its_component() -> None:
    declared = stack(
        DB=db.url,
        CACHE=cache.url,
        DSN=f"{db.url}?sslmode=disable",
        OWN=f"postgresql+psycopg://{db.user}:{db.password}@{db.host}:{db.port}/shop",
        PLAIN=f"password={db.password}",
        API=api.url,
        BOX=box.url(),
        ADMIN=f"{box.url('admin')}/x",
    )
    url = "postgresql://shop:[db.password encoded]@db.host:db.port/orders"
    expected = {
        "DB": url,
        "CACHE": "redis://cache.host:cache.port/0",
        "DSN": f"{url}?sslmode=disable",
        "OWN": "postgresql+psycopg://shop:[db.password encoded]@db.host:db.port/shop",
        "PLAIN": "password=[db.password]",
        "API": "http://api.host:api.port",
        "BOX": "http://box.host:box.port",
        "ADMIN": "http://box.host:box.portadmin/x",
    }
    in_container = shown(declared, "container")
    assert {name: in_container[name] for name in expected} == expected
    process = shown(declared, "process")
    assert process["CACHE"] == "redis://:[cache.password encoded]@cache.host:cache.port/0"


def test_a_redis_without_a_password_gives_an_empty_one() -> None:
    declared = stack(PASSWORD=cache.password, PASSWORD_FILE=cache.password)
    assert shown(declared, "container")["PASSWORD"] == ""
    assert "PASSWORD_FILE" not in declared.workload("web", "container").environment
    assert shown(declared, "process")["PASSWORD"] == "[cache.password]"


def test_a_url_of_a_port_may_stand_in_a_command() -> None:
    declared = Stack("shop", [web(command=["serve", f"--api={api.url}"]), db, cache, api, box])
    words = declared.workload("web", "container").command or ()
    assert words[1] == Text(("--api=", "http://", api.host, ":", Reference("api", "port")))


def test_a_component_is_told_in_its_words_where_it_listens(tmp_path: Path) -> None:
    words: list[Value] = ["serve", f"--bind={BIND}:{PORT}", PORT]
    app = web(uses=[], command=words, environment={"UVICORN_PORT": PORT})
    search = Container("search", image="search", ports={"http": 7700}, command=words, process=words)
    shop = Stack("shop", [app, search])
    made = instance(tmp_path, shop)
    layout = embedded_layout(made)
    for name, inside, outside in (("web", "8000", "20000"), ("search", "7700", "20001")):
        in_container = [resolving.resolve(made, word) for word in shop.workload(name, "container").command or ()]
        assert in_container == ["serve", f"--bind=0.0.0.0:{inside}", inside]
        as_process = [embedded.resolve(layout, word) for word in shop.workload(name, "process").command or ()]
        assert as_process == ["serve", f"--bind=127.0.0.1:{outside}", outside]
    assert resolving.variables(made, "web")["UVICORN_PORT"] == "8000"


def test_a_worker_is_told_in_the_words_of_its_app_where_that_listens(tmp_path: Path) -> None:
    app = web(uses=[], environment={"UVICORN_PORT": PORT})
    made = instance(tmp_path, Stack("shop", [app, Worker("worker", of=app, command=["work"])]))
    assert resolving.variables(made, "worker")["UVICORN_PORT"] == "8000"


@pytest.mark.parametrize("kind", [Worker, Job, Schedule])
def test_what_has_no_port_can_not_listen_on_it(kind: Callable[..., object]) -> None:
    more = {"cron": "* * * * *"} if kind is Schedule else {}
    problem = "has BIND or PORT in it, and 'it' has no port to listen on"
    for field, value in (("command", ["work", f"{PORT}"]), ("environment", {"A": BIND})):
        with pytest.raises(DeclarationError, match=f"it/{field}") as raised:
            kind("it", of=web(), **({"command": ["work"], field: value} | more))
        assert raised.value.problem == problem
    with pytest.raises(DeclarationError, match=problem):
        Container("it", image="box", process=["run", PORT])


def test_a_worker_has_the_secrets_of_its_app() -> None:
    app = web(environment={"DATABASE_URL": db.url})
    declared = Stack("shop", [app, Worker("worker", of=app, command=["work"]), db, cache, api, box])
    assert declared.workload("worker", "container").revealed == (db.password,)


def test_compose_gets_a_secret_from_a_file_and_shows_none(tmp_path: Path) -> None:
    made = instance(tmp_path, stack(DATABASE_URL=db.url, LOG="info"))
    files.write_configuration(made)
    written = made.variables_file("web")
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.read_text() == f'DATABASE_URL="postgresql://shop:{ENCODED}@db:5432/orders"\n'
    text = render.render(made)
    assert f"- {written}" in text
    assert "postgresql://" not in text
    assert render.fields(made)["web"]["environment.DATABASE_URL"] == "postgresql://shop:***@db:5432/orders"
    assert render.fields(made)["web"]["environment.LOG"] == "info"


def test_a_file_of_compose_escapes_what_compose_replaces() -> None:
    assert files.variables_text({"A": 'a"b\\c$d\ne', "B": "'"}) == 'A="a\\"b\\\\c\\$d\\ne"\nB="\'"\n'


def test_a_file_that_nothing_declares_any_more_is_deleted(tmp_path: Path) -> None:
    files.write_configuration(instance(tmp_path, stack(DATABASE_URL=db.url)))
    plain = instance(tmp_path, stack())
    files.write_configuration(plain, "beside.yaml")
    assert plain.variables_file("web").exists(), "what runs is still configured with it"
    files.write_configuration(plain)
    assert not plain.variables_file("web").exists()


def test_a_file_stays_as_it_is_while_a_secret_is_lost(tmp_path: Path) -> None:
    made = instance(tmp_path, stack(DATABASE_URL=db.url))
    made.secret_file("db_password").unlink()
    files.write_configuration(made)
    assert made.variables_file("web").read_text() == "", "Compose reads it also to stop"
    made.variables_file("web").write_text("A=1\n")
    files.write_configuration(made)
    assert made.variables_file("web").read_text() == "A=1\n"


def test_a_process_gets_a_secret_from_a_file_and_no_word(tmp_path: Path) -> None:
    made = instance(tmp_path, stack(DATABASE_URL=f"{db.url}?sslmode=disable"))
    layout = embedded_layout(made)
    written = home_files.HomeFiles(made, layout.home)._variables(layout)
    path = layout.home.variables("web")
    url = f"postgresql://shop:{ENCODED}@127.0.0.1:20001/orders?sslmode=disable"
    assert {file: json.loads(text) for file, text in written.items()} == {path: {"DATABASE_URL": url}}
    words = embedded.command(made, layout, "web", "web")
    assert str(path) in words
    assert not [word for word in words if ENCODED in word or "postgresql://" in word]
    assert "DATABASE_URL" not in embedded.environment(made, layout, "web")
    fields = embedded.fields(made, layout)["web"]
    assert (
        fields["environment.DATABASE_URL"]
        == "postgresql://shop:<db.password>@<db.host>:<db.port>/orders?sslmode=disable"
    )


def test_a_process_is_started_again_when_the_text_around_a_secret_changes(tmp_path: Path) -> None:
    texts = set()
    for value in (db.url, f"{db.url}?sslmode=disable", db.password):
        made = instance(tmp_path, stack(DATABASE_URL=value))
        texts.add(embedded.command(made, embedded_layout(made), "web", "web"))
    assert len(texts) == 3


def test_a_launched_program_reads_its_secret_variables(tmp_path: Path) -> None:
    (tmp_path / "variables").write_text('{"A": "b\\nc"}')
    assert launch.given_variables(str(tmp_path / "variables")) == {"A": "b\nc"}
    assert launch.given_variables(None) == {}
    (tmp_path / "variables").write_text('{"A": "hunter2')
    with pytest.raises(SystemExit, match="can't be read; run `stackctl up`") as raised:
        launch.given_variables(str(tmp_path / "variables"))
    assert "hunter2" not in str(raised.value)


SHOP = """
from stack import Postgres, Redis, Stack, WebApp
db, cache = Postgres("db"), Redis("cache")
web = WebApp("web", source="app", command=["true"], uses=[db, cache], rereads_secrets=True, environment={
    "DATABASE_URL": db.url, "PGPASSWORD": db.password, "CACHE_URL": cache.url})
plain = WebApp("plain", source="app", port=8001, command=["true"], uses=[db], rereads_secrets=True)
stack = Stack("shop", [web, plain, db, cache])
"""


def shop(folder: Path) -> Settings:
    (folder / "app").mkdir()
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    return Settings(folder / "shop.py", None, folder / "state", "embedded", folder / "registry")


def test_plan_says_once_which_variables_hold_a_secret(tmp_path: Path) -> None:
    report = plan(shop(tmp_path))
    (notice,) = report.data.notices
    assert notice.startswith("variables that hold a secret: web: DATABASE_URL, PGPASSWORD, CACHE_URL; ")
    assert "variables that hold a secret" in report.text


def test_a_changed_secret_concerns_those_that_hold_it(tmp_path: Path) -> None:
    read = secrets_read(look(shop(tmp_path)))
    assert read == {
        "web": ["db_password", "cache_password"],
        "plain": ["db_password"],
        "db": ["db_password"],
        "cache": ["cache_password"],
    }


def test_text_without_a_secret_stays_text() -> None:
    assert deferred(f"{db.user}/{db.database}") == "shop/orders"
