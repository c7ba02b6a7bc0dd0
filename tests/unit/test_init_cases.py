"""`init --from`: what becomes of each thing that a Compose project may say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack import Bucket, Container, Job, Worker
from stack.commands.init import init
from stack.declaration import load_stack
from tests.unit.converted import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_values_of_dot_env_that_are_secret_stay_there(project: Project) -> None:
    found = project.convert(
        """\
        services:
          web:
            image: web
            command: ["serve", "--token", "${API_TOKEN}", "--port", "${PORT:-80}"]
            environment: {API_TOKEN: "${API_TOKEN}", MONGO_URL: "${MONGO_URL}", PORT_OUT: "${OUT}"}
            labels: {auth: "user:${API_TOKEN}"}
            healthcheck: {test: ["CMD", "curl", "-u", "me:${API_TOKEN}", "http://localhost"]}
            ports: ["${OUT}:80"]
          mongo: {image: mongo}
        """,
        verify=True,
        env="API_TOKEN=very-secret\nMONGO_URL=mongodb://me:hidden@mongo:27017/x\nOUT=8123\n",
    )
    assert "very-secret" not in f"{found.source}{found.text}{found.data}"
    assert "hidden" not in f"{found.source}{found.text}{found.data}"
    web = found["web"]
    assert web.command[:2] == ("sh", "-c")
    assert '"$API_TOKEN"' in str(web.command)
    assert web.health.words[-1] == 'curl -u me:"$API_TOKEN" http://localhost'
    assert dict(web.publish) == {"http": 8123}
    assert list(found.reasons("lost")) == ["web labels.auth"]
    assert web.reached == ("mongo",)


def test_files_with_secrets_are_found_where_they_were(project: Project) -> None:
    found = project.convert(
        """\
        services:
          api:
            image: api
            secrets: [key, pw]
            environment: {KEY_FILE: /run/secrets/key, PW_FILE: /run/secrets/pw}
            depends_on: [db]
          app: {image: app, secrets: [{source: key, target: other}], environment: {X_FILE: /run/secrets/outside}}
          db:
            image: postgres:17
            environment: {POSTGRES_PASSWORD_FILE: /run/secrets/pw}
            secrets: [pw]
        secrets: {key: {file: key.txt}, pw: {file: pw.txt}, outside: {environment: OUTSIDE}}
        """,
    )
    assert dict(found["api"].files) == {"key.txt": "/run/secrets/key"}
    assert dict(found["app"].files) == {"key.txt": "/run/secrets/other"}
    assert '"PW_FILE": db.password' in found.source
    assert '"KEY_FILE": "/run/secrets/key"' in found.source
    assert found.stack.parameters["OUTSIDE"].parameter.secret


CONNECTIONS = {
    "postgres://u:p@db/app": "db.url",
    "postgresql://u:p@db:5432/app?sslmode=disable": 'f"{db.url}?sslmode=disable"',
    "postgresql+asyncpg://u:p@db:5432/app": (
        'f"postgresql+asyncpg://{db.user}:{db.password}@{db.host}:{db.port}/{db.database}"'
    ),
    "jdbc:postgresql://db:5432/app?user=u&password=p": (
        'f"jdbc:postgresql://{db.host}:{db.port}/{db.database}?user={db.user}&password={db.password}"'
    ),
    "host=db port=5432 user=u password=p dbname=app": (
        'f"host={db.host} port={db.port} user={db.user} password={db.password} dbname={db.database}"'
    ),
    "Host=db;Port=5432;Username=u;Password=p;Database=app": (
        'f"Host={db.host};Port={db.port};Username={db.user};Password={db.password};Database={db.database}"'
    ),
}


def test_each_way_to_write_a_connection_gets_references(project: Project) -> None:
    services = "".join(
        f"  s{number}: {{image: x, environment: {{DATABASE: {json.dumps(value)}}}}}\n"
        for number, value in enumerate(CONNECTIONS)
    )
    db = "  db: {image: 'postgres:18', environment: {POSTGRES_USER: u, POSTGRES_PASSWORD: p, POSTGRES_DB: app}}\n"
    found = project.convert(f"services:\n{services}{db}")
    for number, written in enumerate(CONNECTIONS.values()):
        assert f'"DATABASE": {written}' in found.source
        assert found[f"s{number}"].needs == ("db",)


KEPT_AS_CONTAINERS = {
    "an old version": "{image: 'postgres:12', environment: {POSTGRES_PASSWORD: p}}",
    "a field that the kind has not": "{image: 'postgres:18', shm_size: 1gb, environment: {POSTGRES_PASSWORD: p}}",
    "another variable": "{image: 'postgres:18', environment: {POSTGRES_PASSWORD: p, POSTGRES_INITDB_ARGS: -k}}",
    "an init script": "{image: 'postgres:18', environment: {POSTGRES_PASSWORD: p}, "
    "volumes: ['./a.sql:/docker-entrypoint-initdb.d/a.sql']}",
    "a Redis with a file": "{image: 'redis:8', command: redis-server /redis.conf, volumes: ['./a.conf:/redis.conf']}",
    "a Redis with a policy of its own": "{image: 'redis:8', command: --maxmemory-policy volatile-lfu}",
    "a mail catcher that publishes SMTP": "{image: axllent/mailpit, ports: ['1025:1025', '8025:8025']}",
}


@pytest.mark.parametrize("why", KEPT_AS_CONTAINERS)
def test_what_a_kind_can_not_say_stays_a_container(project: Project, why: str) -> None:
    user = "{image: x, environment: {URL: 'postgres://postgres:p@it/postgres', R: 'redis://it'}}"
    found = project.convert(f"services:\n  it: {KEPT_AS_CONTAINERS[why]}\n  user: {user}\n")
    assert isinstance(found["it"], Container)
    assert "# A Container and not a " in found.source
    assert found.data.lost == ()


def test_a_database_whose_password_is_in_code_stays_a_container(project: Project) -> None:
    found = project.convert("""\
        services:
          web: {image: web, depends_on: [db]}
          db: {image: "postgres:18", environment: {POSTGRES_PASSWORD: told-in-code}}
        """)
    assert isinstance(found["db"], Container)
    assert "told-in-code" in found.source


def test_what_was_compared_shows_no_password_of_a_command(project: Project) -> None:
    found = project.convert(
        """\
        services:
          api: {image: nginx, environment: {REDIS_URL: "redis://:hunter22@cache:6379/1"}}
          cache: {image: "redis:8", command: redis-server --requirepass hunter22}
        """,
        verify=True,
    )
    assert "'--requirepass', '***'" in found.text
    assert "hunter22" not in found.text


def test_a_secret_that_several_variables_share_is_one_parameter(project: Project) -> None:
    found = project.convert("""\
        services:
          store: {image: store, environment: {ROOT_PASSWORD: "${ROOT_PASSWORD:-miniosecret}"}}
          web:
            image: web
            environment:
              S3_SECRET: "${S3_SECRET:-miniosecret}"
              URL: mysql://root:hush@sql/x
              ALLOW_EMPTY_PASSWORD: "yes"
            depends_on: [store]
          sql: {image: mysql, environment: {MYSQL_ROOT_PASSWORD: hush}}
        """)
    assert set(found.stack.parameters) == {"ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"}
    assert '"S3_SECRET": root_password' in found.source
    assert 'f"mysql://root:{mysql_root_password}@{sql.host}/x"' in found.source
    assert '"ALLOW_EMPTY_PASSWORD": "yes"' in found.source


def test_jobs_are_told_by_what_waits_for_them_and_by_how_they_end(project: Project) -> None:
    found = project.convert("""\
        services:
          web: {image: web, depends_on: {prepare: {condition: service_completed_successfully}}}
          prepare: {image: tool, command: prepare}
          buckets: {image: tool, entrypoint: sh -c "make it; exit 0"}
          init-forever: {image: tool, command: ["sh", "-c", "init && tail -f /dev/null"]}
          seed: {image: tool, restart: always}
        """)
    jobs = {each.name for each in found.stack if isinstance(each, Job)}
    assert jobs == {"prepare", "buckets"}
    assert found["prepare"].precedes == ("web",)


def test_users_of_a_shared_volume_have_one_user(project: Project) -> None:
    found = project.convert("""\
        services:
          a: {image: a, user: "1001", volumes: ["data:/data"]}
          fix: {image: a, user: root, command: chown -R 1001 /data, volumes: ["data:/data"]}
          b: {image: b, user: "5000:0", volumes: ["data:/b:ro"]}
        volumes: {data: {}}
        """)
    assert {found[name].user for name in ("a", "fix", "b")} == {"image"}
    assert sorted(found.reasons("lost")) == ["a user", "b user", "fix user"]


def test_what_nothing_names_is_reached_by_all(project: Project) -> None:
    found = project.convert("services: {web: {image: web, ports: ['80:80']}, cache: {image: memcached}}")
    assert found.stack.isolated is False
    told = project.convert(
        "services: {web: {image: web, environment: {CACHE_DRIVER: cache}}, cache: {image: memcached}}"
    )
    assert told.stack.isolated is True
    assert told["web"].reached == ("cache",)


def test_profiles_that_cover_everything_leave_something_on(project: Project) -> None:
    text = "services: {a: {image: a, profiles: [one]}, b: {image: b, profiles: [two]}, c: {image: c, profiles: [one]}}"
    found = project.convert(text)
    assert dict(found.stack.groups) == {"two": ("b",)}
    chosen = project.convert(text, env="COMPOSE_PROFILES=two\n")
    assert dict(chosen.stack.groups) == {"one": ("a", "c")}


def test_what_no_component_can_have_is_left_out_and_named(project: Project) -> None:
    found = project.convert("""\
        services:
          odd:
            image: "foo:|version|"
            labels: ["com.docker.x=1", "good=1"]
            stop_signal: SIGWINCH
            tmpfs: /run:size=1m
            volumes:
              ["data:/data", "inner:/data/inner", "/var/run/docker.sock:/var/run/docker.sock", "/etc/hosts:/etc/hosts"]
            ports: ["10.0.0.1:81:81", "82-83:82-83", "84"]
            platform: linux/amd64
            cap_add: [NET_ADMIN, CHOWN]
        volumes: {data: {driver_opts: {type: nfs}}, inner: {}}
        """)
    assert sorted(found.reasons("lost")) == [
        "odd cap_add NET_ADMIN",
        "odd image",
        "odd labels.com.docker.x",
        "odd platform",
        "odd ports 81",
        "odd stop_signal",
        "odd volumes /data/inner",
        "odd volumes /etc/hosts",
        "odd volumes /var/run/docker.sock",
        "odd volumes data",
    ]
    assert found["odd"].tmpfs == ("/run", "/tmp")
    assert sorted(found["odd"].publish.values()) == [81, 82, 83, 84]


def test_a_variable_without_a_value_costs_what_needs_it_alone(project: Project) -> None:
    text = """\
        services:
          web:
            image: "nginx:${TAG}"
            ports: ["${BIND}:${PORT}:80", "${ADMIN:-8081}:81"]
            mem_limit: ${MEMORY}m
            environment: {X: "${X}"}
            restart: ${RESTART}
        """
    found = project.convert(text, verify=True)
    assert found.reasons("lost") == {
        "web mem_limit": "needs MEMORY, which has no value: write it into .env, and convert again"
    }
    assert dict(found["web"].publish) == {"http": 80, "p81": 8081}
    assert found["web"].image == "nginx"
    whole = project.convert(text, env="TAG=1.29\nBIND=127.0.0.1\nPORT=8080\nMEMORY=256\nX=1\n")
    assert (whole["web"].image, whole["web"].memory, whole.data.lost) == ("nginx:1.29", 256, ())
    assert (whole["web"].publish["http"], tuple(whole["web"].public)) == (8080, ("p81",))


def test_an_example_of_dot_env_gives_what_has_no_default(project: Project) -> None:
    (project.folder / ".env.example").write_text("PORT=8080\nOTHER=9999\nDB_HOST=db\n")
    found = project.convert("""\
        services:
          web: {image: web, ports: ["${PORT}:80", "${OTHER:-8081}:81"], environment: {HOST: "${DB_HOST}"}}
          db: {image: mysql}
        """)
    assert sorted(found["web"].publish.values()) == [8080, 8081]
    assert '"HOST": db.host' in found.source


def test_names_in_scripts_and_files_go_on_to_work(project: Project) -> None:
    (project.folder / "nginx.conf").write_text("upstream app { server my-app:8000; }")
    found = project.convert("""\
        services:
          proxy: {image: nginx, volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"], ports: ["80:80"]}
          app: {image: app, container_name: my-app}
          app_db: {image: "postgres:18", environment: {POSTGRES_USER: u, POSTGRES_PASSWORD: p}}
          web: {image: web, environment: {DB_PASSWORD: p}, depends_on: [app_db]}
          told_db: {image: "postgres:18", environment: {POSTGRES_USER: u, POSTGRES_PASSWORD: q}}
          api: {image: api, environment: {DATABASE_URL: "postgres://u:q@told_db/u"}}
        """)
    assert (found["app"].hostname, found["proxy"].reached) == ("my-app", ("app",))
    assert (type(found["app-db"]), found["app-db"].hostname) == (Container, "app_db")
    assert '"DATABASE_URL": told_db.url' in found.source
    assert found.data.lost == ()


def test_a_server_for_objects_is_a_bucket_if_variables_have_its_keys(project: Project) -> None:
    web = """\
        services:
          files:
            image: minio/minio
            command: server /data
            environment: {MINIO_ROOT_USER: root, MINIO_ROOT_PASSWORD: hushhush}
            volumes: ["objects:/data"]
          web:
            image: web
            environment:
              S3_ENDPOINT: http://files:9000
              AWS_ACCESS_KEY_ID: root
              AWS_SECRET_ACCESS_KEY: hushhush
              AWS_STORAGE_BUCKET_NAME: uploads
        volumes: {objects: {}}
        """
    found = project.convert(web, verify=True)
    assert (type(found["files"]), found["files"].buckets) == (Bucket, ("uploads",))
    for line in (
        '"S3_ENDPOINT": files.url',
        '"AWS_ACCESS_KEY_ID": files.access_key',
        '"AWS_SECRET_ACCESS_KEY": files.secret_key',
    ):
        assert line in found.source
    assert "hushhush" not in found.source
    assert found.data.verified is not None
    assert found.data.verified.differences == ()
    for changed in (
        web.replace("AWS_ACCESS_KEY_ID: root", "A: b"),
        web.replace("server /data", "server /data --quiet"),
        web.replace("BUCKET", "X"),
    ):
        assert isinstance(project.convert(changed)["files"], Container)


def test_variables_of_files_are_replaced_if_they_have_a_login(project: Project) -> None:
    (project.folder / "app.env").write_text(
        "DB_USER=me\nDB_PASSWORD=told\nMAIL_USER=me\nDATABASE_URL=postgres://me:told@db/me\n"
    )
    found = project.convert(
        """\
        services:
          web: {image: web, env_file: [app.env], depends_on: [db], ports: ["80:80"]}
          worker: {image: web, command: work, env_file: [app.env], depends_on: [db]}
          db: {image: "postgres:18", environment: {POSTGRES_USER: me, POSTGRES_PASSWORD: told}}
        """,
        verify=True,
    )
    assert set(found["web"].environment) == {"DB_USER", "DB_PASSWORD", "DATABASE_URL"}
    assert found["web"].env_files == ("app.env",)
    assert (type(found["worker"]), dict(found["worker"].environment)) == (Worker, {})
    assert "told" not in f"{found.source}{found.text}{found.data}"


def test_two_secrets_that_are_alike_by_chance_stay_two(project: Project) -> None:
    found = project.convert(
        """\
        services:
          web:
            image: web
            environment:
              ADMIN_PASSWORD: ${ADMIN_PASSWORD:?}
              APP_HOST: db
              APP_PASS: ${DB_PASS:?}
              SHOP_DB_PASSWORD: changeme
          db: {image: "postgres:18", environment: {POSTGRES_PASSWORD: "${DB_PASS:?}"}}
        """,
        env="ADMIN_PASSWORD=changeme\nDB_PASS=changeme\n",
    )
    for line in (
        '"ADMIN_PASSWORD": admin_password', '"APP_PASS": db.password', '"SHOP_DB_PASSWORD": db.password',
    ):  # fmt: skip
        assert line in found.source


def test_what_is_included_from_outside_is_named_as_that(tmp_path: Path) -> None:
    project, other = Project(tmp_path / "my project"), tmp_path / "other"
    (other / "conf").mkdir(parents=True)
    project.folder.mkdir()
    (other / "compose.yaml").write_text(
        "services: {api: {build: ., volumes: ['./conf:/etc/conf:ro'], env_file: [api.env]}}"
    )
    found = project.convert("include: [../other/compose.yaml]\nservices: {web: {image: web}}")
    assert found["api"].source == "../other"
    assert {key: reason.partition(":")[0] for key, reason in found.reasons("lost").items()} == {
        f"api volumes {other}/conf": "refused",
        f"api env_file {other}/api.env": "refused",
    }


def test_the_stack_file_may_be_in_another_folder(project: Project) -> None:
    (project.folder / "deploy").mkdir()
    (project.folder / "deploy" / "site.conf").write_text("x")
    (project.folder / "deploy" / "compose.yaml").write_text(
        "services: {web: {build: .., volumes: ['./site.conf:/etc/site.conf:ro']}}"
    )
    report = init(project.folder, [Path("deploy/compose.yaml")], Path("shop.py"))
    stack = load_stack(report.data.file)
    web = stack["web"]
    assert isinstance(web, Container)
    assert (web.source, dict(web.files)) == (".", {"deploy/site.conf": "/etc/site.conf"})
    assert report.text.splitlines()[-1] == "  stackctl --file shop.py up"
