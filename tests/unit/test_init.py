"""`init --from`: what becomes of a Compose project, and of files that are none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import Container, Job, Postgres, Redis, Worker
from stack.commands.init import init
from stack.errors import StackError
from stack.importing import reading
from tests.unit.converted import Converted, Project

SHOP = """\
    services:
      web:
        build: .
        ports: ["8000:8000"]
        environment:
          DATABASE_URL: postgres://shop:${DB_PASSWORD:-hush}@db:5432/shop
          DB_HOST: db
          DB_PORT: 5432
          CELERY_BROKER_URL: redis://queue:6379/0
          CACHE_URL: redis://cache/1
          SMTP_HOST: mail
          DEBUG: ${DEBUG:-false}
          STRIPE_KEY: ${STRIPE_KEY:?get one}
          SECRET_KEY: not-so-secret
        depends_on: {db: {condition: service_healthy}, queue: {condition: service_started}}
        volumes: ["media:/app/media", "./site.conf:/etc/site.conf:ro"]
        healthcheck: {test: curl -f http://localhost:8000/, interval: 15s}
        restart: unless-stopped
      worker:
        build: .
        command: celery -A shop worker
        environment:
          DATABASE_URL: postgres://shop:${DB_PASSWORD:-hush}@db:5432/shop
          DB_HOST: db
          DB_PORT: 5432
          CELERY_BROKER_URL: redis://queue:6379/0
          CACHE_URL: redis://cache/1
          SMTP_HOST: mail
          DEBUG: ${DEBUG:-false}
          STRIPE_KEY: ${STRIPE_KEY:?get one}
          SECRET_KEY: not-so-secret
        depends_on: [db, queue]
        volumes: ["media:/app/media"]
      migrate:
        build: .
        command: [sh, -c, "sleep 1 && python manage.py migrate"]
        environment: {DATABASE_URL: "postgres://shop:${DB_PASSWORD:-hush}@db:5432/shop"}
        depends_on: [db]
      db:
        image: postgres:16-alpine
        environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: "${DB_PASSWORD:-hush}"}
        volumes: ["pgdata:/var/lib/postgresql/data"]
      queue: {image: "redis:7"}
      cache: {image: "redis:7", command: redis-server --maxmemory 100mb --maxmemory-policy allkeys-lru}
      mail: {image: axllent/mailpit, ports: ["127.0.0.1:8025:8025"]}
      admin:
        image: adminer
        profiles: [tools]
        ports: ["8080:8080"]
        privileged: true
    volumes: {media: {}, pgdata: {}}
    """


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    project = Project(tmp_path_factory.mktemp("shop"))
    (project.folder / "site.conf").write_text("listen 80")
    return project.convert(SHOP, verify=True, env="STRIPE_KEY=sk_1\n")


def test_services_become_the_kinds_that_they_are(shop: Converted) -> None:
    assert {each.name: type(each) for each in shop.stack if each.name not in ("mail", "admin")} == {
        "db": Postgres, "queue": Redis, "cache": Redis, "web": Container, "worker": Worker, "migrate": Job,
    }  # fmt: skip
    assert (shop["mail"].role, shop["admin"].role) == ("mail catcher", "container")
    db = shop["db"]
    assert (db.user, db.database, db.version, db.image) == ("shop", "shop", 16, "postgres:16-alpine")


def test_a_redis_is_a_queue_or_a_cache_by_what_uses_it(shop: Converted) -> None:
    assert (shop["queue"].durable, shop["cache"].durable, shop["cache"].memory) == (True, False, 200)
    assert "a queue, as CELERY_BROKER_URL says" in shop.source


def test_host_names_become_references(shop: Converted) -> None:
    for line in (
        '"DATABASE_URL": db.url,',
        '"DB_HOST": db.host,',
        '"DB_PORT": db.port,',
        '"CELERY_BROKER_URL": queue.url,',
        '"CACHE_URL": f"redis://:{cache.password}@{cache.host}:{cache.port}/1",',
        '"SMTP_HOST": mail.host,',
    ):
        assert line in shop.source


def test_variables_become_parameters_and_literal_secrets_are_generated(shop: Converted) -> None:
    parameters = {name: each.parameter for name, each in shop.stack.parameters.items()}
    assert (parameters["DEBUG"].default, parameters["DEBUG"].secret) == ("false", False)
    assert (parameters["STRIPE_KEY"].default, parameters["STRIPE_KEY"].secret) == (None, True)
    assert (parameters["SECRET_KEY"].generate, parameters["SECRET_KEY"].secret) == (True, True)
    assert "hush" not in shop.source
    assert "not-so-secret" not in shop.source
    assert "sk_1" not in shop.source


def test_a_worker_and_a_job_have_what_their_app_has(shop: Converted) -> None:
    assert (shop["worker"].of, shop["migrate"].of) == (shop["web"], shop["web"])
    assert shop["worker"].environment == {}
    assert shop["worker"].command == ("celery", "-A", "shop", "worker")
    assert shop["migrate"].command == ("sh", "-c", "sleep 1 && python manage.py migrate")


def test_what_an_image_needs_in_compose_it_has_here(shop: Converted) -> None:
    web = shop["web"]
    assert (web.user, web.writable, web.init) == ("image", True, False)
    assert "NET_BIND_SERVICE" in web.capabilities
    assert (dict(web.publish), web.public) == ({"http": 8000}, True)
    assert (dict(web.volumes), dict(web.files)) == ({"media": "/app/media"}, {"site.conf": "/etc/site.conf"})
    assert web.health.words == ["/bin/sh", "-c", "curl -f http://localhost:8000/"]
    assert (web.health.interval, web.health.timeout) == (15, 30)


def test_profiles_become_groups(shop: Converted) -> None:
    assert dict(shop.stack.groups) == {"tools": ("admin",)}


def test_each_loss_is_named_and_the_exit_code_says_so(shop: Converted) -> None:
    assert shop.code == 3
    assert shop.reasons("lost") == {"admin privileged": "refused: it opens this machine to the container"}
    assert "web restart" in shop.reasons("engine")
    assert shop.reasons("kept")["db image"] == "in Postgres"


def test_it_ends_with_the_two_commands_to_type_next(shop: Converted) -> None:
    first, second = shop.text.splitlines()[-2:]
    assert first.endswith("plan")
    assert second.endswith("up")


def test_what_it_renders_to_is_what_compose_reads(shop: Converted) -> None:
    verified = shop.data.verified
    assert verified is not None
    assert verified.differences == ()
    assert verified.compared > 60
    assert {each.service for each in verified.by_kind} <= {"db", "cache", "queue", "mail"}


def test_the_stack_file_is_formatted_and_typed(shop: Converted) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    checked = subprocess.run(
        [ruff, "format", "--isolated", "--line-length", "120", "--check", shop.data.file],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout


WRONG: dict[str, tuple[str, str]] = {
    "services: {web: {image: nginx, colour: blue}}": ("compose-refused", "services.web"),
    "services: {web: {image: nginx, ports: 80}}": ("compose-refused", "ports"),
    "services: [": ("compose-refused", "Docker Compose refuses it"),
    "services: {}": ("compose-refused", "no service"),
    "include: [../other/gone.yaml]": ("compose-refused", "gone.yaml"),
    "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [c]}, c: {image: x, depends_on: [a]}}": (
        "compose-refused",
        "in a circle: a → b → c → a",
    ),
    "services: {a: {image: x, depends_on: [gone]}}": ("compose-refused", "a depends on gone"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_compose_refuses_is_refused_and_nothing_is_written(project: Project, text: str) -> None:
    code, part = WRONG[text]
    project.write(text)
    with pytest.raises(StackError) as raised:
        init(project.folder, [Path("compose.yaml")], None)
    assert raised.value.code == code
    assert part in raised.value.message
    assert raised.value.hint
    assert os.listdir(project.folder) == ["compose.yaml"]


def test_a_folder_a_missing_file_and_an_output_that_exists_are_refused(project: Project) -> None:
    project.write("services: {web: {image: nginx}}")
    (project.folder / "stackfile.py").write_text("mine")
    cases: dict[str, Callable[[], object]] = {
        "compose.yaml`": lambda: init(project.folder, [Path(".")], None),
        "there is no file": lambda: init(project.folder, [Path("gone.yaml")], None),
        "exists, and stays as it is": lambda: init(project.folder, [Path("compose.yaml")], None),
        "there is no folder": lambda: init(project.folder, [Path("compose.yaml")], Path("gone/stackfile.py")),
        "name the file": lambda: init(project.folder, [Path("compose.yaml")], Path(".")),
    }
    for part, call in cases.items():
        with pytest.raises(StackError) as raised:
            call()
        assert part in f"{raised.value.message} {raised.value.hint}"
    assert (project.folder / "stackfile.py").read_text() == "mine"
    init(project.folder, [Path("compose.yaml")], None, force=True)
    assert "Container" in (project.folder / "stackfile.py").read_text()


def test_names_that_no_component_can_have_are_made_safe_and_unique(project: Project) -> None:
    found = project.convert("""\
        services:
          Web_App: {image: nginx, environment: {API_URL: "http://import:80/"}}
          web-app: {image: nginx}
          import: {image: nginx, ports: ["80:80"]}
          1st.service.with-a-very-long-name-indeed: {image: nginx, ports: ["81:80"]}
          stack: {image: nginx}
        """)
    assert set(found.stack.names) == {"web-app-2", "web-app", "import", "s-1st-service-with-a-very-long", "stack"}
    assert found["s-1st-service-with-a-very-long"].hostname == "1st.service.with-a-very-long-name-indeed"
    renamed = [each.reason.split()[2] for each in found.data.decided if each.key == "service"]
    assert renamed == ["s-1st-service-with-a-very-long", "web-app-2"]
    assert "import_.url()" in found.source


def test_services_that_name_each_other_reach_each_other_by_name(project: Project) -> None:
    found = project.convert("""\
        services:
          one: {image: nginx, environment: {OTHER_URL: "http://two:80/"}}
          two: {image: nginx, environment: {OTHER_URL: "http://one:80/"}}
        """)
    assert found["one"].reached == ("two",)
    assert found["two"].reached == ("one",)


def test_a_missing_file_of_variables_is_told(project: Project) -> None:
    found = project.convert("services: {web: {image: nginx, env_file: [gone.env, {path: may.env, required: false}]}}")
    assert found["web"].env_files == ("gone.env",)
    assert found.reasons("decided")["web env_file gone.env"] == "is not there yet: `up` needs it"


def test_a_file_of_five_thousand_lines_is_converted(project: Project) -> None:
    services = "".join(
        f"  s{number}:\n    image: nginx\n    environment:\n      NEXT: http://s{number + 1}/\n" + "      # \n" * 21
        for number in range(200)
    )
    found = project.convert(f"services:\n{services}")
    assert len(found.stack.names) == 200
    assert found.stack.isolated is False


def test_ctrl_c_leaves_nothing_behind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(file: Path) -> None:
        raise KeyboardInterrupt

    project.write("services: {web: {image: nginx}}")
    monkeypatch.setattr("stack.commands.init.load_stack", interrupt)
    with pytest.raises(KeyboardInterrupt):
        init(project.folder, [Path("compose.yaml")], None)
    assert os.listdir(project.folder) == ["compose.yaml"]


def test_both_parsers_of_compose_read_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    both = reading.parsers()
    if len(both) < 2:
        pytest.skip("this machine has one parser")
    texts = []
    for parser in both:
        monkeypatch.setattr(reading, "parsers", lambda parser=parser: [parser])
        texts.append(project.convert(SHOP).source)
    assert texts[0] == texts[1]


def test_an_old_compose_gives_way_to_the_wheel(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    old = project.folder / "old"
    old.write_text("#!/bin/sh\necho 'unknown flag: --no-env-resolution' >&2\nexit 1\n")
    old.chmod(0o755)
    both = reading.parsers()
    monkeypatch.setattr(reading, "parsers", lambda: [[str(old)], *both])
    assert project.convert("services: {web: {image: nginx}}")["web"].image == "nginx"
    monkeypatch.setattr(reading, "parsers", lambda: [[str(old)]])
    with pytest.raises(StackError) as raised:
        project.convert("services: {web: {image: nginx}}")
    assert (raised.value.code, raised.value.hint) == (
        "compose-missing",
        "install its parser: pip install 'stackctl[import]'",
    )
