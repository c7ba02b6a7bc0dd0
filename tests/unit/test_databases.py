"""What a PostgreSQL and a Redis may be declared with: wrong values, and what becomes of right ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Container, DeclarationError, Postgres, Redis, Stack, WebApp, Worker
from stack.applied import Applied
from stack.capabilities import Programs
from stack.comparison import Declared, make_plan
from stack.components.postgres.transfer import LOADING
from stack.engines.compose.render import fields as compose_fields
from stack.engines.compose.render import render
from stack.engines.embedded.layout import Home, Layout
from stack.engines.embedded.ports import choose_ports
from stack.engines.embedded.render import fields
from stack.fields import fingerprint
from stack.initial import InitialFile, read_initial
from stack.instance import Instance, default_ports
from stack.observed import ComponentState, Observed
from stack.plan import Plan
from stack.style import PLAIN
from stack.workflow.queues import forgetful_queues
from stack.workflow.summary import page_urls, server_lines, url_lines
from stack.workload import VolumeId


def db(**options: Any) -> Postgres:
    return Postgres("db", **options)


def cache(**options: Any) -> Redis:
    return Redis("cache", **options)


WRONG: dict[str, Callable[[], object]] = {
    "db/publish: 'yes' is not a port (1-65535)": lambda: db(publish="yes"),
    "db/publish: 0 is not a port (1-65535)": lambda: db(publish=0),
    "db/publish: 70000 is not a port (1-65535)": lambda: db(publish=70000),
    "db/settings: ['work_mem'] is not a mapping": lambda: db(settings=["work_mem"]),
    "db/settings: 'Work Mem' is not the name of a setting, like 'work_mem'": lambda: db(settings={"Work Mem": 1}),
    "db/settings: 7 is not the name of a setting, like 'work_mem'": lambda: db(settings={7: 1}),
    "db/settings/work_mem: None is not text, a number, True or False": lambda: db(settings={"work_mem": None}),
    "db/settings/work_mem: ['1MB'] is not text, a number, True or False": lambda: db(settings={"work_mem": ["1MB"]}),
    "db/settings/x: nan is not a number that a server can be given": lambda: db(settings={"x": float("nan")}),
    "db/settings/x: contains a NUL byte, which environments and paths do not allow": lambda: db(settings={"x": "\0"}),
    "db/settings/x: Reference(component='db', field='host') is not text, a number, True or False": (
        lambda: db(settings={"x": db().host})
    ),
    "db/settings/port: is stackctl's own: it decides where the server listens; `publish` opens it to this machine": (
        lambda: db(settings={"port": 6000})
    ),
    "db/settings/unix_socket_group: is stackctl's own: it decides where the server listens; `publish` opens it to this "
    "machine": lambda: db(settings={"unix_socket_group": "x"}),
    "db/settings/hba_file: is stackctl's own: it decides where the files of the server are": lambda: db(
        settings={"hba_file": "/x"}
    ),
    "db/settings/ssl_cert_file: is stackctl's own: it makes no certificates; nothing outside this machine reaches the "
    "server": lambda: db(settings={"ssl_cert_file": "/x"}),
    "db/settings/logging_collector: is stackctl's own: `stackctl logs` reads what the server writes to its standard "
    "error": lambda: db(settings={"logging_collector": True}),
    "db/databases: 'analytics' is not a list": lambda: db(databases="analytics"),
    "db/databases: 'Ana' is not a plain SQL name (a-z, 0-9 and _, at most 63)": lambda: db(databases=["Ana"]),
    "db/databases: 7 is not a plain SQL name (a-z, 0-9 and _, at most 63)": lambda: db(databases=[7]),
    "db/databases: 'app' stands there twice, or is its `database` already": lambda: db(databases=["app"]),
    "db/databases: 'a' stands there twice, or is its `database` already": lambda: db(databases=["a", "a"]),
    "db/databases: 'postgres' is a database that every server has for itself": lambda: db(databases=["postgres"]),
    "db/databases: 'template1' is a database that every server has for itself": lambda: db(databases=["template1"]),
    "db/init: '' is not the path of a folder": lambda: db(init=""),
    "db/init: ['a.sql'] is not the path of a folder": lambda: db(init=["a.sql"]),
    "db/image: 'Pg Vector' is not the name of an image (like 'nginx:1.29')": lambda: db(image="Pg Vector"),
    "db/image: 18 is not plain text": lambda: db(image=18),
    "db/image: 'pgvector/pgvector:pg17' is PostgreSQL 17 by its tag, and version 18 is what is declared": lambda: db(
        image="pgvector/pgvector:pg17"
    ),
    "db/image: 'postgis/postgis:17-3.5-alpine' is PostgreSQL 17 by its tag, and version 16 is what is declared": (
        lambda: db(image="postgis/postgis:17-3.5-alpine", version=16)
    ),
    "db/image_user: 'postgres' is not a user and group in numbers, or is root (like 10001:10001)": lambda: db(
        image_user="postgres"
    ),
    "db/image_user: 'image' may be root, which PostgreSQL refuses; give the numbers": lambda: db(image_user="image"),
    "cache/publish: '6379' is not a port (1-65535)": lambda: cache(publish="6379"),
    "cache/image: 'Redis' is not the name of an image (like 'nginx:1.29')": lambda: cache(image="Redis"),
    "shop/orders/publish: 5432 is published by 'db' already": lambda: Stack(
        "shop", [db(publish=True), Postgres("orders", publish=True)]
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def instance(*components: Any) -> Instance:
    stack = Stack("shop", components)
    return Instance("shop", "stackctl-shop-123456", stack, Path("/f"), Path("/s"), default_ports(stack))


def service(name: str, *components: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(instance(*components)))["services"][name]
    return found


@pytest.mark.parametrize(("publish", "port"), [(True, 5432), (6000, 6000), (None, None), (False, None)])
def test_a_published_database_has_the_usual_port_or_its_own(publish: bool | int | None, port: int | None) -> None:
    made = instance(db(publish=publish))
    bound = [f"127.0.0.1:{port}:5432"] if port else None
    assert service("db", db(publish=publish)).get("ports") == bound
    assert dict(made.ports) == ({"db": port} if port else {})
    assert port is None or choose_ports(made, {}, keep=False) == {"db": port}


def test_a_published_database_says_how_to_connect() -> None:
    made = instance(WebApp("web", source="app"), db(publish=True, user="shop", database="orders"))
    database = "  db: postgresql://shop@localhost:5432/orders  (password in /s/secrets/db_password)"
    assert page_urls(made) == ["http://localhost:8000"]
    assert server_lines(made, PLAIN) == [database]
    assert url_lines(made, PLAIN) == ["  web: http://localhost:8000", database]


def test_a_database_that_is_not_published_keeps_its_networks() -> None:
    app = WebApp("web", source="app", uses=["db"])
    networks = yaml.safe_load(render(instance(app, db())))["networks"]
    published = yaml.safe_load(render(instance(app, db(publish=True))))["networks"]
    assert published.keys() - networks.keys() == {"db"}
    assert "internal" not in published["db"]


SETTINGS = {"work_mem": "32MB", "max_connections": 200, "jit": False, "log_statement": "$all"}


def test_settings_are_words_of_the_server_and_fields_of_the_plan() -> None:
    declared = db(settings=SETTINGS)
    words = ["-c", "work_mem=32MB", "-c", "max_connections=200", "-c", "jit=off"]
    assert service("db", declared)["command"] == [
        "sh", "/stackctl-start.sh", "18", *words, "-c", "log_statement=$$all",
    ]  # fmt: skip
    assert (declared.workload("process").words or ())[-8:] == (*words, "-c", "log_statement=$all")
    shown = {"settings.work_mem": "32MB", "settings.jit": "off", "settings.log_statement": "$all"}
    for found in (compose_fields(instance(declared))["db"], process_fields(declared)):
        assert shown.items() <= found.items()
        assert "work_mem" not in found.get("command", "")


def process_fields(declared: Postgres) -> dict[str, str]:
    programs = {"db": Programs({"postgres": Path("/bin/postgres")}, tools=(Path("/bin"),), major=18)}
    layout = Layout(Home(Path("/s/home"), Path("/s/run"), Path("/s/secrets")), {}, programs)
    return fields(instance(declared), layout)["db"]


def test_a_database_without_settings_is_declared_as_ever() -> None:
    found = service("db", db())
    assert "command" not in found
    for fields_of_it in (compose_fields(instance(db()))["db"], process_fields(db())):
        assert not any(name.startswith("settings") for name in fields_of_it)


def test_new_data_is_filled_without_what_is_logged_for_others() -> None:
    declared = db(settings={"wal_level": "logical", "archive_mode": "on", "work_mem": "32MB"})
    assert "wal_level=logical" in declared.serve("process").command
    assert "archive_mode=on" in declared.serve("container").command
    filled = declared.serve("container", LOADING).command
    assert ("wal_level=logical" in filled, "archive_mode=on" in filled) == (False, False)
    assert filled[-2 - len(LOADING) :] == ("-c", "work_mem=32MB", *LOADING)


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("pgvector/pgvector:pg18", "999:999"),
        ("postgis/postgis:18-3.5-alpine", "70:70"),
        ("timescale/timescaledb:latest-pg18", "70:70"),
        ("timescale/timescaledb-ha:pg18", "999:999"),
        ("localhost:5000/own/database:3.1", "999:999"),
    ],
)
def test_an_image_of_your_own_is_run_as_the_postgres_in_it(image: str, user: str) -> None:
    found = service("db", db(image=image))
    assert (found["image"], found["user"], found["stop_signal"]) == (image, user, "SIGINT")
    assert found["command"] == ["sh", "/stackctl-start.sh", "18"]
    assert service("db", db(image=image, image_user="26:26"))["user"] == "26:26"


@pytest.mark.parametrize(
    ("image", "older"),
    [
        ("pgvector/pgvector:pg18", "pgvector/pgvector:pg17"),
        ("pgvector/pgvector:0.8.1-pg18-trixie", "pgvector/pgvector:0.8.1-pg17-trixie"),
        ("postgis/postgis:18-3.5", "postgis/postgis:17-3.5"),
        ("own/database:3.1", None),
    ],
)
def test_an_upgrade_reads_old_data_with_the_same_image_of_its_version(image: str, older: str | None) -> None:
    assert db(image=image).at_major(17).image == older
    assert db(image=image).at_major(18).image == image


def test_initial_files_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.sql", "a.sql.gz", "README.md", ".hidden.sh"):
        (tmp_path / name).touch()
    (tmp_path / "more.sql").mkdir()
    assert [each.name for each in read_initial(tmp_path, "shop/db/init")] == ["a.sql.gz", "b.sql"]


@pytest.mark.parametrize("name", ["01_seed.sh", "rows.sql.xz", "rows.sql.zst"])
def test_an_initial_file_that_can_not_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DeclarationError, match=f"{name} is ") as raised:
        read_initial(tmp_path, "shop/db/init")
    assert raised.value.path == "shop/db/init"


def test_a_folder_of_initial_files_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="nowhere: No such file"):
        read_initial(tmp_path / "nowhere", "shop/db/init")


def test_a_packed_file_is_read_as_the_plain_one_is(tmp_path: Path) -> None:
    sql = b"-- stackctl: no-transaction\nVACUUM;\n"
    plain, packed = InitialFile(tmp_path / "a.sql"), InitialFile(tmp_path / "a.sql.gz")
    plain.path.write_bytes(sql)
    packed.path.write_bytes(gzip.compress(sql))
    for each in (plain, packed):
        assert (b"".join(each.chunks()), each.whole()) == (sql, False)


STORE = "shop_db-pgdata"
FIELDS = {"db": {"image": "postgres:18"}}
STATE = ComponentState("1", "running", "healthy", 0, 0, False, None, "", declaration=fingerprint(FIELDS["db"]))


def planned(made: Applied, exists: bool) -> Plan:
    declared = Declared(
        FIELDS,
        stores={VolumeId("db"): STORE},
        databases={"db": ["analytics", "archive"]},
        initial={"db": [InitialFile(Path("/f/a.sql"))]},
    )
    there = Observed({"db": STATE}, stores=frozenset([STORE])) if exists else Observed({})
    return make_plan("shop", "compose", declared, made, there)


def test_new_data_gets_all_databases_and_initial_files() -> None:
    plan = planned(Applied(databases={"db": ["analytics"]}), exists=False)
    assert (plan.databases, plan.initial) == ({"db": ("analytics", "archive")}, {"db": ("a.sql",)})


def test_data_of_before_gets_missing_databases_and_no_initial_files() -> None:
    plan = planned(Applied(databases={"db": ["analytics"]}), exists=True)
    assert (plan.databases, plan.initial) == ({"db": ("archive",)}, {})
    assert plan.prepared == {"db"}


def test_what_was_cut_off_goes_on_with_the_initial_files() -> None:
    begun = Applied(databases={"db": ["analytics", "archive"]}).intended([], {}, initial=["db"])
    assert planned(begun, exists=True).initial == {"db": ("a.sql",)}
    assert planned(begun.initialised("db"), exists=True).something is False
    assert planned(begun.switched(["db"], {}, [], {}), exists=True).initial == {}, "restored data is not new"


def test_a_published_redis_asks_for_a_password_that_its_own_clients_have() -> None:
    app = WebApp("web", source="app", uses=["cache"])
    found = yaml.safe_load(render(instance(app, cache(publish=True))))["services"]
    assert found["cache"]["ports"] == ["127.0.0.1:6379:6379"]
    assert found["cache"]["command"][:3] == ["sh", "/stackctl-start.sh", "/run/secrets/cache_password"]
    assert found["web"]["environment"]["CACHE_PASSWORD_FILE"] == "/run/secrets/cache_password"
    assert "environment" not in found["cache"], "the password of `redis-cli` is in a file of variables"
    assert list(cache(publish=True).workload("container").secret_environment) == ["REDISCLI_AUTH"]
    made = instance(cache(publish=6400))
    assert server_lines(made, PLAIN) == ["  cache: redis://localhost:6400/0  (password in /s/secrets/cache_password)"]


def test_a_redis_that_is_not_published_is_declared_as_ever() -> None:
    found = service("cache", cache(), WebApp("web", source="app", uses=["cache"]))
    assert found["command"][0] == "redis-server"
    assert {"ports", "secrets", "env_file", "configs"}.isdisjoint(found)


def test_a_valkey_is_a_redis_by_image() -> None:
    assert service("cache", cache(image="valkey/valkey:9"))["image"] == "valkey/valkey:9"


@pytest.mark.parametrize(
    ("uses", "warned"),
    [
        (["cache"], True),
        (["cache", "db"], True),
        (["queue"], False),
        (["cache", "queue", "db"], False),
        (["cache", "broker"], False),
        (["db"], False),
        ([], False),
    ],
)
def test_a_worker_whose_queue_forgets_is_warned_of(uses: list[str], warned: bool) -> None:
    worker = Worker("worker", image="app:1", command=["work"], uses=uses)
    broker = Container("broker", image="rabbitmq:4", ports={"amqp": 5672})
    app = WebApp("web", source="app", uses=uses)
    found = forgetful_queues(Stack("shop", [app, worker, db(), cache(), Redis("queue", durable=True), broker]))
    assert found == (
        (
            "worker: work that waits for it in cache is lost when that is full or starts again; for a queue declare "
            'Redis("queue", durable=True)',
        )
        if warned
        else ()
    )
