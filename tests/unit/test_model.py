"""A wrong stack raises at once, with a path; a right one is a value."""

from __future__ import annotations

import copy
import json
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from stack import CachedValue, DeclarationError, Postgres, Redis, Stack, Volume, WebApp
from stack.references import Reference, Secret, SecretReference, Text, deferred, references_in, resolved

db = Postgres("db")
cache = Redis("cache")
Make = Callable[[], object]


def web(**options: Any) -> WebApp:
    return WebApp("web", **({"source": "."} | options))


WRONG: Mapping[str, Make] = {
    "Postgres: 'Db' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: Postgres("Db"),
    "Redis: '' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: Redis(""),
    "Redis: 7 is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: Redis(7),  # type: ignore[arg-type]
    "Stack: 'a b' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: Stack("a b", [db]),
    "db/user: 'drop table' is not a plain SQL name (a-z, 0-9 and _, at most 63)": lambda: Postgres(
        "db", user="drop table"
    ),
    "db/database: 'Notes' is not a plain SQL name (a-z, 0-9 and _, at most 63)": lambda: Postgres(
        "db", database="Notes"
    ),
    "db/inspect: 'a;b' is not a plain SQL name (a-z, 0-9 and _, at most 63)": lambda: Postgres("db", inspect="a;b"),
    "db/memory: 8 is not an amount in MiB (at least 64)": lambda: Postgres("db", memory=8),
    "db/memory: 64.5 is not a whole number of MiB (at least 64)": lambda: Postgres("db", memory=64.5),  # type: ignore[arg-type]
    "db/cpus: 0 is not an amount in CPUs (at least 0.1)": lambda: Postgres("db", cpus=0),
    "db/cpus: nan is not an amount in CPUs (at least 0.1)": lambda: Postgres("db", cpus=float("nan")),
    "db/cpus: inf is not an amount in CPUs (at least 0.1)": lambda: Postgres("db", cpus=float("inf")),
    "cache/inspect: 'key' is not a CachedValue": lambda: Redis("cache", inspect="key"),  # type: ignore[arg-type]
    "cache/memory: True is not an amount in MiB (at least 32)": lambda: Redis("cache", memory=True),
    "web/source: '' is not the path of a folder": lambda: web(source=""),
    "web/port: 80000 is not a port (1-65535)": lambda: web(port=80000),
    "web/port: '8000' is not a port (1-65535)": lambda: web(port="8000"),
    "web/port: True is not a port (1-65535)": lambda: web(port=True),
    "web/publish: 0 is not a port (1-65535)": lambda: web(publish=0),
    "web/health: 'health' is not a path of a URL (it starts with /)": lambda: web(health="health"),
    "web/health: '/a b' is not a path of a URL (it starts with /)": lambda: web(health="/a b"),
    "web/user: 'root' is not a user of a container, or is root (like 10001:10001, or node)": lambda: web(user="root"),
    "web/user: '0:0' is not a user of a container, or is root (like 10001:10001, or node)": lambda: web(user="0:0"),
    "web/stop_grace: 0 is not an amount in seconds (at least 1)": lambda: web(stop_grace=0),
    "web/command: '' is not a list of words, like ['python', 'app.py']": lambda: web(command=""),
    "web/command: \"echo 'x\" can't be split into words: No closing quotation": lambda: web(command="echo 'x"),
    "web/command: 'migrate && serve' is for a shell; write ['sh', '-c', '…']": lambda: web(command="migrate && serve"),
    "web/command: 'serve > /dev/null' is for a shell; write ['sh', '-c', '…']": lambda: web(
        command="serve > /dev/null"
    ),
    "web/command: 'serve $(nproc)' is for a shell; write ['sh', '-c', '…']": lambda: web(command="serve $(nproc)"),
    "web/command: [] is not a list of words, like ['python', 'app.py']": lambda: web(command=[]),
    "web/command: 7 is not a word of a command": lambda: web(command=["sleep", 7]),
    "web/environment: 'A=1' is not a mapping of names to values": lambda: web(environment="A=1"),
    "web/environment: 'A B' is not the name of a variable": lambda: web(environment={"A B": "1"}),
    "web/environment: '1A' is not the name of a variable": lambda: web(environment={"1A": "1"}),
    "web/environment/A: None is not text, a number or a reference": lambda: web(environment={"A": None}),
    "web/environment/A: True is no text; write 'true', 'True' or '1', whichever the program reads": lambda: web(
        environment={"A": True}
    ),
    "web/environment/A: contains a NUL byte, which environments and paths do not allow": lambda: web(
        environment={"A": "\0"}
    ),
    "web/environment/A: '\\udc80' contains half of a character, which UTF-8 can't encode": lambda: web(
        environment={"A": "\udc80"}
    ),
    "web/source: contains a NUL byte, which environments and paths do not allow": lambda: web(source="a\0b"),
    "web/source: '\\udcff' contains half of a character, which UTF-8 can't encode": lambda: web(source="\udcff"),
    "db/migrations: contains a NUL byte, which environments and paths do not allow": lambda: Postgres(
        "db", migrations="a\0b"
    ),
    "web/command: contains a NUL byte, which environments and paths do not allow": lambda: web(command=["a", "\0"]),
    "db/memory: 1000000000000000000 is not an amount in MiB (at most 16777216)": lambda: Postgres("db", memory=10**18),
    "web/cpus: 512 is not an amount in CPUs (at most 256)": lambda: web(cpus=512),
    "db/user: 'postgres' is reserved by PostgreSQL; choose another, like 'app'": lambda: Postgres(
        "db", user="postgres"
    ),
    "db/user: 'pg_me' is reserved by PostgreSQL; choose another, like 'app'": lambda: Postgres("db", user="pg_me"),
    "db/user: 'stackctl_admin' is stackctl's own administrator; choose another, like 'app'": lambda: Postgres(
        "db", user="stackctl_admin"
    ),
    "db/extensions: 'pg_trgm' is not a list": lambda: Postgres("db", extensions="pg_trgm"),
    "db/extensions: 'Pg Trgm' is not the name of an extension, like 'pg_trgm'": lambda: Postgres(
        "db", extensions=["Pg Trgm"]
    ),
    "db/extensions: 1 is not the name of an extension, like 'pg_trgm'": lambda: Postgres("db", extensions=[1]),  # type: ignore[list-item]
    "db/extensions: 'vector' stands there twice": lambda: Postgres("db", extensions=["vector", "vector"]),
    "db/database: 'template1' is what PostgreSQL copies new databases from": lambda: Postgres(
        "db", database="template1"
    ),
    "db/owner: Postgres has no such field": lambda: Postgres("db", owner="shop"),  # type: ignore[call-arg]
    "web/enviroment: WebApp has no such field; did you mean 'environment'?": lambda: web(enviroment={}),
    "web/image: and source are both missing: a component runs an image, or is built from a folder with a Dockerfile": (
        lambda: WebApp("web")
    ),
    "Postgres: Postgres(…): missing a required argument: 'name'": lambda: Postgres(user="db"),  # type: ignore[call-arg]
    "shop/volumes: Stack has no such field": lambda: Stack("shop", [db], volumes=[]),  # type: ignore[call-arg]
    "CachedValue/db: CachedValue has no such field": lambda: CachedValue(key="k", db=db),  # type: ignore[call-arg]
    "cache/inspect/database: 'db' is not a Postgres": lambda: Redis(
        "cache",
        inspect=CachedValue("k", "db", "SELECT 1"),  # type: ignore[arg-type]
    ),
    "cache/inspect/key: 7 is not plain text": lambda: Redis(
        "cache",
        inspect=CachedValue(7, db, "SELECT 1"),  # type: ignore[arg-type]
    ),
    "cache/port: only the engine knows it, so it can't be formatted as '>6'": lambda: f"{cache.port:>6}",
    "web/health: is a reference; these stand in `environment` and in `command` alone": lambda: web(
        health=f"/{cache.host}"
    ),
    "web/source: is a reference; these stand in `environment` and in `command` alone": lambda: web(source=cache.host),
    "web/environment/URL: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(environment={"URL": json.dumps({"host": f"{cache.host}"})})
    ),
    "web/environment/B: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(environment={"B": urllib.parse.quote(f"{cache.host}")})
    ),
    "web/environment/C: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(environment={"C": f"{[cache.host]}"})
    ),
    "web/environment/D: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(environment={"D": f"{cache.host}"[:-1]})
    ),
    "shop/web/command: refers to 'cache', which is not in its uses": lambda: Stack(
        "shop", [web(command=["app", f"--cache={cache.host}"]), cache]
    ),
    "shop/web/environment/A: refers to 'cache', which is not in its uses": lambda: Stack(
        "shop", [web(environment={"A": f"{cache.host}:{cache.port}"}), cache]
    ),
    "web/uses: 'db' is not a list": lambda: web(uses="db"),
    "shop/isolated: 'no' is neither True nor False": lambda: Stack("shop", [cache], isolated="no"),  # type: ignore[arg-type]
    "web/uses: 7 is neither a component nor the name of one": lambda: web(uses=[7]),
    "web/uses: 'db' is listed twice": lambda: web(uses=[db, "db"]),
    "components: 'db' is not a list": lambda: Stack("shop", "db"),  # type: ignore[arg-type]
    "shop/components: is empty; a stack has at least one component": lambda: Stack("shop", []),
    "shop/components/1: 'db' is not a component": lambda: Stack("shop", [db, "db"]),  # type: ignore[list-item]
    "shop/db: is there twice; a name belongs to one component": lambda: Stack("shop", [db, Redis("db")]),
    "shop/web/uses: 'db' is not in the stack (it has web, cache)": lambda: Stack("shop", [web(uses=[db]), cache]),
    "shop/web/uses: goes in a circle: web -> api -> web": lambda: Stack(
        "shop", [web(uses=["api"]), WebApp("api", source=".", port=8001, uses=["web"])]
    ),
    "shop/web/uses: goes in a circle: web -> web": lambda: Stack("shop", [web(uses=["web"])]),
    "shop/web/environment/URL: refers to 'cache', which is not in its uses": lambda: Stack(
        "shop", [web(environment={"URL": cache.host}, uses=[db]), db, cache]
    ),
    "shop/api/publish: 8000 is published by 'web' already": lambda: Stack("shop", [web(), WebApp("api", source=".")]),
    "shop/cache/inspect: reads 'db', which is not in the stack (it has cache)": lambda: Stack(
        "shop", [Redis("cache", inspect=CachedValue("k", db, "SELECT 1"))]
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Make) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: Stack("shop", [web(uses=[db]), cache]), "add it to the list of the stack, or correct the name"),
        (lambda: Stack("shop", [db, Volume("media")]), "it finds a volume, a parameter or an external where"),  # type: ignore[list-item]
    ],
)
def test_what_is_wrong_with_the_list_of_a_stack_is_told_with_its_fix(make: Make, hint: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert hint in raised.value.hint


def test_components_are_compared_by_value() -> None:
    assert web(uses=[db], environment={"A": 1}) == web(uses=("db",), environment={"A": "1"})
    assert web(port=8001) != web()


def test_components_cannot_be_changed() -> None:
    given = {"A": "1"}
    app = web(environment=given)
    given["A"] = "2"
    assert app.environment["A"] == "1"
    with pytest.raises(TypeError):
        app.environment["A"] = "3"  # type: ignore[index]
    with pytest.raises(AttributeError):
        app.port = 1  # type: ignore[misc]


def test_a_component_gets_what_those_that_it_uses_give() -> None:
    stack = Stack("shop", [web(uses=["orders-db"]), Postgres("orders-db", user="u", database="d")])
    assert dict(stack.workload("web", "container").environment) == {
        "ORDERS_DB_HOST": Reference("orders-db", "host"),
        "ORDERS_DB_PORT": Reference("orders-db", "port"),
        "ORDERS_DB_NAME": "d",
        "ORDERS_DB_USER": "u",
        "ORDERS_DB_PASSWORD_FILE": SecretReference("orders-db", "password"),
        "BIND": Reference("web", "bind"),
        "PORT": Reference("web", "port"),
    }


def test_an_app_is_told_its_port_unless_it_says_so_itself() -> None:
    stack = Stack("shop", [web(environment={"PORT": 3000})])
    assert stack.workload("web", "container").environment["PORT"] == "3000"


def test_only_where_others_can_reach_it_a_cache_has_a_password() -> None:
    stack = Stack("shop", [web(uses=[cache], command=["run"]), cache])
    assert "CACHE_PASSWORD_FILE" not in stack.workload("web", "container").environment
    assert stack.secrets("container") == ()
    assert stack.workload("web", "process").environment["CACHE_PASSWORD_FILE"] == cache.password
    assert stack.secrets("process") == (cache.password,)


def test_a_process_needs_a_command_of_its_own() -> None:
    with pytest.raises(DeclarationError, match="shop/web/command: is missing") as raised:
        Stack("shop", [web()]).workload("web", "process")
    assert "WebApp(command=[…])" in raised.value.hint


def test_only_who_uses_a_database_gets_its_password() -> None:
    stack = Stack("shop", [web(uses=[db]), WebApp("api", source=".", port=8001), db])
    assert stack.workload("web", "container").secrets == (db.password,)
    assert stack.workload("api", "container").secrets == ()


def test_a_secret_never_shows_its_value() -> None:
    secret = Secret("hunter2")
    assert [repr(secret), str(secret), f"{secret}", f"{[secret]}"] == ["***", "***", "***", "[***]"]
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("other")


def test_the_fields_there_are_stand_in_the_hint() -> None:
    with pytest.raises(DeclarationError) as raised:
        Redis("cache", version=7)  # type: ignore[call-arg]
    assert raised.value.hint == "it has: name, inspect, memory, cpus, durable, publish, image, public"


def test_a_reference_in_a_text_is_found_again() -> None:
    found = deferred(f"redis://{cache.host}:{cache.port}/0")
    assert found == Text(("redis://", cache.host, ":", cache.port, "/0"))
    assert resolved(found, lambda part: f"<{references_in(part)[0].field}>") == "redis://<host>:<port>/0"
    assert deferred(f"{cache.host}") == Text((cache.host,))
    assert deferred("plain") == "plain"


def test_a_component_can_be_copied() -> None:
    assert copy.copy(web(uses=[db])) == web(uses=[db])
    assert copy.deepcopy(db) == db
