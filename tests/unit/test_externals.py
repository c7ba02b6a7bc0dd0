"""Servers that stackctl does not run: how they are declared, what their URLs give, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stack import Container, DeclarationError, External, Parameter, Postgres, Stack, WebApp, Worker
from stack.commands.plan import plan
from stack.engines.compose import render
from stack.errors import StackError, UsageError
from stack.settings import Settings
from stack.urls import address_of, part_of, problem_of_url
from stack.verdict import externals
from stack.workflow.externals import check_externals, external_statuses
from stack.workflow.finding import find_component
from stack.workflow.opening import look

url = Parameter("DATABASE_URL", secret=True)
db = External("db", url=url)
web = WebApp("web", source="app", command=["serve"], uses=[db])
_EXAMPLE = 'write External("db", url=Parameter("DB_URL", secret=True))'

WRONG: dict[str, Callable[[], object]] = {
    "External: 'D B' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: External("D B", url=url),
    "db/url: is not a Parameter": lambda: External("db", url="postgresql://u:hunter2@h/d"),  # type: ignore[arg-type]
    "db/url: has a password, so it is a secret": lambda: External("db", url=Parameter("DATABASE_URL")),
    "db/url: can't be generated": lambda: External("db", url=Parameter("A", secret=True, generate=True)),
    "db/extensions: External has no such field": lambda: External("db", url=url, extensions=[]),  # type: ignore[call-arg]
    "web/after: 'db' is an External, which stands in `uses` alone": lambda: replace(web, after=[db]),  # type: ignore[list-item]
    "web/command: holds a secret; one stands in `environment` alone, because all else is seen by many": lambda: replace(
        web, command=["serve", f"{db.url}"]
    ),
    "shop/db: is the name of a component and of an External; a name belongs to one of them": lambda: Stack(
        "shop", [web, Postgres("db")]
    ),
    "shop/db: is an External with two URLs; a name belongs to one of them": lambda: Stack(
        "shop", [web, External("db", url=Parameter("OTHER", secret=True))]
    ),
    "shop/web/uses: names the External 'db', which has to be given itself and not by its name": lambda: Stack(
        "shop", [replace(web, uses=["db"]), db]
    ),
    "shop/components: is empty; a stack has at least one component": lambda: Stack("shop", [db]),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_declaration_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message
    assert "hunter2" not in str(raised.value) + raised.value.hint


PARTS = {
    "postgresql://u:p%40@db.example:5433/shop?sslmode=require": ("db.example", "5433", "u", "p@", "shop"),
    "postgres://u@db.example": ("db.example", "5432", "u", "", "u"),
    "postgresql+psycopg://u:p@[fd00::1]/a%20b": ("fd00::1", "5432", "u", "p", "a b"),
    "redis://:p@cache.example:6380/2": ("cache.example", "6380", "", "p", "2"),
    "rediss://cache.example": ("cache.example", "6379", "", "", "0"),
}


@pytest.mark.parametrize(("text", "parts"), PARTS.items())
def test_a_url_has_its_parts(text: str, parts: tuple[str, ...]) -> None:
    assert problem_of_url(text) is None
    assert tuple(part_of(text, name) for name in ("host", "port", "user", "password", "name")) == parts


def test_an_address_can_be_read_as_one() -> None:
    assert address_of("redis://[fd00::1]:6380/0") == "[fd00::1]:6380"


NO_URLS = {
    "": "is not a URL that begins with postgresql:// or redis://",
    "hunter2": "is not a URL that begins with postgresql:// or redis://",
    "mysql://u:hunter2@h/d": "is not a URL that begins with postgresql:// or redis://",
    "postgresql://": "is a URL without a host",
    "postgresql:///shop": "is a URL without a host",
    "postgresql://u:hunter2/x@h/d": "is a URL whose host or port can't be read; "
    "percent-encode / ? # @ and : in its user and password",
    "postgresql://u:p@h:x/d": "is a URL whose host or port can't be read; "
    "percent-encode / ? # @ and : in its user and password",
    "postgresql://u:p@h:0/d": "is a URL with the port 0",
    "postgresql://u:p@a,b/d": "is a URL with several hosts; name one",
    "redis://h/cache": "is a URL whose path is not the number of a database, like /0",
}


@pytest.mark.parametrize(("text", "problem"), NO_URLS.items())
def test_what_is_no_url_of_a_server_is_refused(text: str, problem: str) -> None:
    assert problem_of_url(text) == problem


SHOP = """
from stack import External, Parameter, Stack, WebApp
db = External("db", url=Parameter("DATABASE_URL", secret=True))
web = WebApp("web", source="app", command=["serve"], uses=[db], environment={"URL": f"{db.url}", "AT": f"{db.host}!"})
stack = Stack("shop", [web, db])
"""


def shop(folder: Path, value: str, engine: str = "compose") -> Settings:
    (folder / "app").mkdir()
    (folder / "app" / "Dockerfile").write_text("FROM scratch\n")
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    variables = {"DATABASE_URL": value} if value else {}
    return Settings(folder / "shop.py", None, folder / "state", engine, folder / "registry", variables=variables)


def test_what_it_gives_is_what_a_database_gives(tmp_path: Path) -> None:
    own = Postgres("db").exports("container")
    assert own.keys() <= db.exports.keys()
    instance = look(shop(tmp_path, "postgresql://u:hunter2@db.example/shop?sslmode=require")).instance
    fields = render.fields(instance)["web"]
    assert {name.partition(".")[2]: value for name, value in fields.items() if name.startswith("environment.")} == {
        "BIND": "0.0.0.0",
        "PORT": "8000",
        "DB_HOST": "db.example",
        "DB_PORT": "5432",
        "DB_NAME": "shop",
        "DB_USER": "u",
        "DB_PASSWORD_FILE": "/run/secrets/parameter-DATABASE_URL-password",
        "URL": "***",
        "AT": "db.example!",
    }
    assert "hunter2" not in render.render(instance) + json.dumps(dict(fields))


def test_a_worker_has_the_externals_of_its_app() -> None:
    worker = Worker("worker", of=web, command=["work"])
    stack = Stack("shop", [web, worker, replace(worker, name="other", uses=[])])
    assert "DB_HOST" in stack.workload("worker", "container").environment
    assert "DB_HOST" not in stack.workload("other", "container").environment
    assert stack.externals == (db,)
    assert replace(stack, components=stack.components) == stack
    assert Stack("shop", [Container("box", image="x"), db]).externals == (db,)


def test_a_value_that_is_no_url_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised:
        plan(shop(tmp_path, "mysql://u:hunter2@h/d"))
    assert raised.value.code == "parameter-invalid"
    assert raised.value.message.startswith("DATABASE_URL (from the environment) is not a URL that begins with")
    assert "hunter2" not in raised.value.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_container_would_look_for_loopback_in_itself(tmp_path: Path, host: str) -> None:
    with pytest.raises(StackError) as raised:
        check_externals(look(shop(tmp_path, f"postgresql://u:hunter2@{host}:1/d")))
    assert raised.value.code == "parameter-invalid"
    assert "which in a container is the container itself" in raised.value.message


def test_one_that_gives_no_answer_is_told_by_its_address(tmp_path: Path) -> None:
    opened = look(shop(tmp_path, "postgresql://u:hunter2@127.0.0.1:1/d", "embedded"))
    with pytest.raises(StackError) as raised:
        check_externals(opened)
    assert raised.value.code == "external-unusable"
    assert raised.value.message.startswith("db, PostgreSQL at 127.0.0.1:1, can't be used: ")
    assert "refused" in raised.value.message
    assert "hunter2" not in raised.value.message + raised.value.hint
    assert "DATABASE_URL (the environment)" in raised.value.hint


def test_servers_are_asked_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=10)

    def ask(url: str, seconds: float) -> str | None:
        together.wait()
        return url if url == "b" else None

    monkeypatch.setattr(externals, "problem_of", ask)
    assert externals.problems_of({"one": "a", "two": "b", "three": "c"}, 1) == {"one": None, "two": "b", "three": None}
    assert externals.problems_of({}, 1) == {}


def test_one_without_a_url_has_a_problem(tmp_path: Path) -> None:
    assert external_statuses(look(shop(tmp_path, "")))["db"].problem == "DATABASE_URL has no value"


def test_a_command_for_a_component_says_that_it_is_external(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'db' is external: stackctl runs nothing of it"):
        find_component(look(shop(tmp_path, "")).instance, "db")
