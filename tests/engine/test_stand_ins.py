"""What the stack relies on in the images it names, whether they are the official ones or stand-ins."""

from __future__ import annotations

import json
import subprocess
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli import eventually

pytestmark = [pytest.mark.docker, pytest.mark.long]

POSTGRES = "postgres:18"
PGVECTOR = "pgvector/pgvector:pg18"
REDIS = "redis:8"
PYTHON = "python:3.14-slim"
NODE = "node:24-slim"
MAILPIT = "axllent/mailpit:v1.33"
CADDY = "caddy:2.11"
RUSTFS = "rustfs/rustfs:1.0.1"

# How the stack runs every container.
LEAST_PRIVILEGE = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--tmpfs", "/tmp")
AS_SERVER = ("--user", "999:999", *LEAST_PRIVILEGE)
POSTGRES_OPTIONS = (*AS_SERVER, "--tmpfs", "/var/run/postgresql")

PASSWORD = 'it\'s a "pass" $word'
INITIALISED = "PostgreSQL init process complete"


def docker(*words: str) -> CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)


def ok(*words: str) -> str:
    done = docker(*words)
    assert done.returncode == 0, f"docker {' '.join(words)} → {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def setting(kind: str, name: str, path: str) -> Any:
    return json.loads(ok(kind, "inspect", "--format", f"{{{{json .{path}}}}}", name))


@dataclass(frozen=True)
class Box:
    """A running container."""

    name: str

    def exec(self, *command: str, **environment: str) -> CompletedProcess[str]:
        options = [f"--env={key}={value}" for key, value in environment.items()]
        return docker("exec", *options, self.name, *command)

    def ok(self, *command: str, **environment: str) -> str:
        done = self.exec(*command, **environment)
        assert done.returncode == 0, f"{' '.join(command)} → {done.returncode}\n{done.stdout}{done.stderr}{self.log()}"
        return done.stdout.strip()

    def log(self) -> str:
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def stop(self) -> int:
        ok("stop", "--time", "30", self.name)
        return int(setting("container", self.name, "State.ExitCode"))


@dataclass(frozen=True)
class Bench:
    """Makes containers, networks and volumes that nobody else has, and removes all of them in the end."""

    undo: ExitStack

    def network(self) -> str:
        name = ok("network", "create", "--internal", "--label=stackctl.test", new_name())
        self.undo.callback(ok, "network", "rm", name)
        return name

    def volume(self) -> str:
        name = ok("volume", "create", "--label=stackctl.test", new_name())
        self.undo.callback(ok, "volume", "rm", name)
        return name

    def run(self, image: str, *command: str, options: Sequence[str] = ()) -> Box:
        name = self._container()
        ok("run", "--detach", "--label=stackctl.test", f"--name={name}", *options, image, *command)
        return Box(name)

    def refusal(self, image: str, *options: str) -> str:
        """What a container says that must not start."""
        box = self.run(image, options=options)
        eventually(lambda: setting("container", box.name, "State.Status") == "exited", within=20, every=0.1)
        assert setting("container", box.name, "State.ExitCode") == 1, box.log()
        return box.log()

    def _container(self) -> str:
        """The name of a container to come. It is removed whether or not it comes to run."""
        name = new_name()
        self.undo.callback(ok, "rm", "--force", "--volumes", name)
        return name


def new_name() -> str:
    return f"stackctl-test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with ExitStack() as undo:
        yield Bench(undo)


@pytest.fixture(scope="module")
def network(bench: Bench) -> str:
    return bench.network()


# PostgreSQL


@dataclass(frozen=True)
class Life:
    """A database that was created, stopped, and started again in a new container: it is the second that runs."""

    box: Box
    first_log: str
    first_exit: int

    def ask(self, query: str, *, password: str = PASSWORD, host: str = "") -> CompletedProcess[str]:
        """Ask over the network, as another container would."""
        options = ["--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--username=visitor"]
        address = [f"--host={host or self.box.name}", "--dbname=visits"]
        return self.box.exec("psql", *options, *address, "--command", query, PGPASSWORD=password)

    def one(self, query: str) -> str:
        done = self.ask(query)
        assert done.returncode == 0, f"{done.stderr}{self.box.log()}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def database(bench: Bench, network: str, tmp_path_factory: pytest.TempPathFactory) -> Life:
    secret = tmp_path_factory.mktemp("secret") / "password"
    secret.write_text(PASSWORD)
    initial = tmp_path_factory.mktemp("initial")
    (initial / "1.sql").write_text("CREATE TABLE initial AS SELECT current_user AS who, 'sql' AS by;")
    (initial / "2.sh").write_text(
        'psql -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO initial SELECT current_user, \'shell\'"'
    )
    for path in (initial, *initial.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    options = (
        *POSTGRES_OPTIONS,
        f"--network={network}",
        f"--volume={bench.volume()}:/var/lib/postgresql",
        f"--volume={secret}:/run/secrets/password:ro",
        f"--volume={initial}:/docker-entrypoint-initdb.d:ro",
        "--env=POSTGRES_USER=visitor",
        "--env=POSTGRES_DB=visits",
        "--env=POSTGRES_PASSWORD_FILE=/run/secrets/password",
    )

    def start() -> Life:
        life = Life(bench.run(POSTGRES, options=options), "", 0)
        eventually(lambda: answers_or_ended(life.box, lambda: life.ask("SELECT 1")), within=30, every=0.1)
        return life

    first = start()
    first.one("CREATE TABLE kept AS SELECT 'from the first start' AS word")
    exit_code = first.box.stop()
    return Life(start().box, first.box.log(), exit_code)


def answers_or_ended(box: Box, probe: Callable[[], CompletedProcess[str]]) -> bool:
    """Whether a probe succeeds; fails at once where the container has ended."""
    if probe().returncode == 0:
        return True
    assert setting("container", box.name, "State.Running"), f"the container has ended:\n{box.log()}"
    return False


def test_postgres_runs_as_user_and_group_999(database: Life) -> None:
    assert database.box.ok("id", "-u", "postgres") == "999"
    assert database.box.ok("id", "-g", "postgres") == "999"


def test_postgres_is_of_the_version_it_is_named_after(database: Life) -> None:
    assert database.one("SHOW server_version").startswith("18.")


@pytest.mark.parametrize("command", ["psql", "pg_isready", "pg_dump"])
def test_postgres_has_its_commands_on_the_path(database: Life, command: str) -> None:
    assert f"{command} (PostgreSQL) 18." in database.box.ok(command, "--version")


def test_postgres_creates_the_declared_superuser_and_database(database: Life) -> None:
    query = "SELECT current_user, rolsuper, current_database() FROM pg_roles WHERE rolname = current_user"
    assert database.one(query) == "visitor|t|visits"


def test_postgres_runs_its_initial_files_once_in_the_declared_database(database: Life) -> None:
    assert (
        database.one("SELECT string_agg(who || ' by ' || by, ', ') FROM initial") == "visitor by sql, visitor by shell"
    )


def test_postgres_refuses_a_wrong_password_over_the_network(database: Life) -> None:
    done = database.ask("SELECT 1", password="wrong")
    assert done.returncode == 2
    assert 'password authentication failed for user "visitor"' in done.stderr


def test_postgres_demands_a_password_over_the_network(database: Life) -> None:
    done = database.ask("SELECT 1", password="")
    assert done.returncode == 2
    assert "no password supplied" in done.stderr


def test_postgres_trusts_loopback_for_health_checks(database: Life) -> None:
    done = database.ask("SELECT 1", password="", host="127.0.0.1")
    assert done.stdout.strip() == "1", done.stderr


def test_postgres_initialises_once_and_listens_on_no_address_until_it_has(database: Life) -> None:
    before, _, after = database.first_log.partition(INITIALISED)
    assert "listening on Unix socket" in before
    assert "listening on IPv4 address" not in before
    assert "listening on IPv4 address" in after


def test_postgres_shuts_down_fast_when_stopped(database: Life) -> None:
    assert setting("image", POSTGRES, "Config.StopSignal") == "SIGINT"
    assert "received fast shutdown request" in database.first_log.partition(INITIALISED)[2]
    assert database.first_exit == 0


def test_postgres_keeps_its_data_and_does_not_initialise_again(database: Life) -> None:
    assert database.one("SELECT word FROM kept") == "from the first start"
    assert INITIALISED not in database.box.log()


def test_postgres_keeps_its_data_in_a_folder_of_the_major_version(database: Life) -> None:
    assert database.one("SHOW data_directory") == "/var/lib/postgresql/18/docker"


def test_postgres_warns_about_its_socket_folder_at_each_start(database: Life) -> None:
    line = "chmod: changing permissions of '/var/run/postgresql': Operation not permitted"
    assert line in database.first_log
    assert line in database.box.log()


def test_postgres_refuses_a_first_start_without_a_password(bench: Bench) -> None:
    said = bench.refusal(POSTGRES, *POSTGRES_OPTIONS)
    assert "superuser password is not specified" in said


def test_postgres_refuses_a_password_that_is_given_twice(bench: Bench) -> None:
    twice = ("--env=POSTGRES_PASSWORD=one", "--env=POSTGRES_PASSWORD_FILE=/etc/hostname")
    said = bench.refusal(POSTGRES, *POSTGRES_OPTIONS, *twice)
    assert "both POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are set" in said


def test_postgres_refuses_a_volume_of_the_layout_before_18(bench: Bench) -> None:
    volume = f"--volume={bench.volume()}:/var/lib/postgresql/data"
    said = bench.refusal(POSTGRES, "--env=POSTGRES_PASSWORD=one", volume)
    assert "in 18+" in said
    assert "/var/lib/postgresql/data" in said


# pgvector


def test_pgvector_is_postgres_with_the_extension_vector(bench: Bench) -> None:
    box = bench.run(PGVECTOR, options=(*POSTGRES_OPTIONS, "--network=none", f"--env=POSTGRES_PASSWORD={PASSWORD}"))
    query = "SELECT name FROM pg_available_extensions WHERE name = 'vector'"
    asked = ("psql", "--host=127.0.0.1", "--username=postgres", "--tuples-only", "--no-align", "--command", query)
    eventually(lambda: answers_or_ended(box, lambda: box.exec(*asked)), within=30, every=0.1)
    assert box.ok(*asked) == "vector"


# Redis


def started_redis(bench: Bench, network: str, *command: str, options: Sequence[str] = ()) -> Box:
    box = bench.run(REDIS, *command, options=(f"--network={network}", *options))
    eventually(lambda: answers_or_ended(box, lambda: box.exec("redis-cli", "-e", "PING")), within=15, every=0.1)
    return box


@pytest.fixture(scope="module")
def cache(bench: Bench, network: str) -> Box:
    """Redis as the stack runs it, but with options alone as its command."""
    return started_redis(bench, network, "--maxmemory", "64mb", "--save", "", options=(*AS_SERVER, "--tmpfs", "/data"))


@pytest.fixture(scope="module")
def plain_cache(bench: Bench, network: str) -> Box:
    """Redis with nothing said at all."""
    return started_redis(bench, network)


def test_redis_runs_with_least_privilege_and_takes_options_as_its_command(cache: Box) -> None:
    assert cache.ok("redis-cli", "CONFIG", "GET", "maxmemory") == f"maxmemory\n{64 * 1024 * 1024}"
    assert cache.ok("redis-cli", "CONFIG", "GET", "save").split("\n")[1:] in ([], [""])


def test_redis_is_of_the_version_it_is_named_after(cache: Box) -> None:
    assert "redis_version:8." in cache.ok("redis-cli", "INFO", "server")


def test_redis_is_the_command_where_none_is_given(plain_cache: Box) -> None:
    assert setting("image", REDIS, "Config.Cmd") == ["redis-server"]
    assert plain_cache.ok("redis-cli", "PING") == "PONG"


def test_redis_started_as_root_steps_down_to_user_999(plain_cache: Box) -> None:
    assert plain_cache.ok("id", "-u", "redis") == "999"
    assert plain_cache.ok("stat", "--format=%u", "/proc/1") == "999"


def test_redis_works_in_the_folder_for_its_data(cache: Box, plain_cache: Box) -> None:
    assert cache.ok("redis-cli", "CONFIG", "GET", "dir") == "dir\n/data"
    assert plain_cache.ok("redis-cli", "SAVE") == "OK"


def test_redis_answers_another_container_without_a_password(cache: Box, plain_cache: Box) -> None:
    assert plain_cache.ok("redis-cli", "-h", cache.name, "PING") == "PONG"


# Python


@pytest.fixture(scope="module")
def python(bench: Bench) -> Box:
    return bench.run(PYTHON, "sleep", "600", options=["--network=none"])


@pytest.fixture(scope="module")
def environment(python: Box, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A virtual environment, made and filled as the service's Dockerfile does, but from a wheel at hand."""
    wheel = tmp_path_factory.mktemp("wheel") / "greeting-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greeting.py", "WORD = 'hello'")
        archive.writestr("greeting-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1\n")
        archive.writestr("greeting-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("greeting-1.dist-info/RECORD", "")
    ok("cp", str(wheel), f"{python.name}:/tmp")
    folder = "/tmp/venv"
    python.ok("python", "-m", "venv", "--without-pip", folder)
    python.ok("pip", "--python", f"{folder}/bin/python", "install", "--no-index", f"/tmp/{wheel.name}")
    return folder


@pytest.mark.parametrize("command", ["python", "python3"])
def test_python_is_of_the_version_it_is_named_after(python: Box, command: str) -> None:
    assert python.ok(command, "--version").startswith("Python 3.14.")


def test_python_installs_into_a_virtual_environment(python: Box, environment: str) -> None:
    assert python.ok(f"{environment}/bin/python", "-c", "import greeting; print(greeting.WORD)") == "hello"


def test_python_lets_pip_install_outside_of_a_virtual_environment(python: Box, environment: str) -> None:
    python.ok("pip", "install", "--no-index", "--find-links=/tmp", "greeting")
    assert python.ok("python", "-c", "import greeting; print(greeting.WORD)") == "hello"


def test_python_runs_an_environment_with_least_privilege_as_any_user(bench: Bench) -> None:
    box = bench.run(PYTHON, "sleep", "600", options=["--user=10001:10001", *LEAST_PRIVILEGE])
    assert box.ok("python", "-c", "import os, ssl, sqlite3; print(os.getuid())") == "10001"


def test_python_has_no_package_but_pip(bench: Bench) -> None:
    box = bench.run(PYTHON, "sleep", "600", options=["--network=none"])
    assert [line.split()[0] for line in box.ok("pip", "list").splitlines()[2:]] == ["pip"]


@pytest.mark.parametrize("compiler", ["gcc", "cc", "g++", "clang"])
def test_python_comes_without_a_compiler(python: Box, compiler: str) -> None:
    assert python.exec("sh", "-c", f"command -v {compiler}").returncode != 0, f"{compiler} is there"


# Node


@pytest.fixture(scope="module")
def node(bench: Bench) -> Box:
    return bench.run(NODE, "sleep", "600", options=["--network=none", "--user=10001:10001", *LEAST_PRIVILEGE])


def test_node_is_of_the_version_it_is_named_after(node: Box) -> None:
    assert node.ok("node", "--version").startswith("v24.")
    assert setting("image", NODE, "Config.Cmd") == ["node"]


def test_node_runs_a_program_with_least_privilege_as_any_user(node: Box) -> None:
    assert node.ok("node", "--print", "process.getuid()") == "10001"


def test_npm_makes_and_installs_a_package(node: Box) -> None:
    make = "mkdir -p /tmp/made /tmp/app && cd /tmp/made && npm init --yes && npm pack --pack-destination /tmp"
    node.ok("sh", "-c", make, npm_config_cache="/tmp/npm")
    install = "cd /tmp/app && npm init --yes && npm install --offline ../made-1.0.0.tgz && ls node_modules"
    assert node.ok("sh", "-c", install, npm_config_cache="/tmp/npm").endswith("made")


def test_node_has_the_user_of_the_official_image(node: Box) -> None:
    assert node.ok("id", "-u", "node") == "1000"


@pytest.mark.parametrize("compiler", ["gcc", "cc", "g++", "clang"])
def test_node_comes_without_a_compiler(node: Box, compiler: str) -> None:
    assert node.exec("sh", "-c", f"command -v {compiler}").returncode != 0, f"{compiler} is there"


# Mailpit


def test_mailpit_runs_with_least_privilege_and_shows_mail_to_programs(bench: Bench, network: str) -> None:
    box = bench.run(MAILPIT, options=("--user=10001:10001", *LEAST_PRIVILEGE, f"--network={network}"))
    app = bench.run(PYTHON, "sleep", "600", options=(f"--network={network}",))
    eventually(lambda: answers_or_ended(box, lambda: box.exec("/mailpit", "readyz")), within=20, every=0.1)
    mail = "From: a@x.org\\nSubject: hello\\n\\nBody"
    app.ok("python", "-c", f"import smtplib; smtplib.SMTP('{box.name}', 1025).sendmail('a@x.org', 'b@x.org', '{mail}')")
    read = f"import urllib.request as u; print(u.urlopen('http://{box.name}:8025/api/v1/messages').read().decode())"
    (found,) = json.loads(app.ok("python", "-c", read))["messages"]
    assert (found["Subject"], found["From"]["Address"], found["Bcc"][0]["Address"]) == ("hello", "a@x.org", "b@x.org")


# Caddy


def test_caddy_starts_only_where_it_may_have_the_capability_of_its_file(bench: Bench) -> None:
    plain = ("--user=10001:10001", *LEAST_PRIVILEGE, "--network=none")
    box = bench.run(CADDY, "sleep", "600", options=plain)
    assert "not permitted" in box.exec("caddy", "version").stderr
    box = bench.run(CADDY, "sleep", "600", options=(*plain, "--cap-add=NET_BIND_SERVICE"))
    assert "2.11." in box.ok("caddy", "version")
    script = "caddy respond --listen :8080 ready > /dev/null 2>&1 & until wget -qO- http://127.0.0.1:8080; do :; done"
    assert box.ok("sh", "-c", f"timeout 20 sh -c '{script}; grep CapEff /proc/$!/status'").split() == [
        "readyCapEff:",
        "0" * 16,
    ]


# RustFS


def test_rustfs_keeps_objects_in_its_volume_with_least_privilege(bench: Bench, network: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cr3t-of-a-test")
    options = (
        *("--user=10001:10001", *LEAST_PRIVILEGE, f"--network={network}", f"--volume={bench.volume()}:/data"),
        *(f"--volume={tmp_path / 'key'}:/run/secrets/key:ro", "--env=RUSTFS_SECRET_KEY_FILE=/run/secrets/key"),
        *("--env=RUSTFS_ACCESS_KEY=stackctl", "--env=RUSTFS_ADDRESS=:9000", "--env=RUSTFS_OBS_LOG_DIRECTORY="),
    )
    login = 'printf \'user = "stackctl:%s"\' "$(cat ${KEY:-/run/secrets/key})" | curl --config - -sS'

    def ask(box: Box, *words: str, **environment: str) -> str:
        script = f'{login} --aws-sigv4 aws:amz:us-east-1:s3 --write-out " %{{http_code}}" "$@"'
        return box.exec("sh", "-c", script, "sh", *words, **environment).stdout

    box = bench.run(RUSTFS, options=options)
    url = "http://127.0.0.1:9000/uploads"
    eventually(lambda: ask(box, "--head", url).endswith(" 404"), within=20, every=0.1)
    assert ask(box, "--request", "PUT", url) == " 200"
    assert ask(box, "--request", "PUT", "--data", "hello", f"{url}/a.txt") == " 200"
    assert ask(box, url, KEY="/etc/hostname").endswith(" 403"), "another secret is refused"
    assert box.ok("id", "-u") == "10001"
    box.stop()
    again = bench.run(RUSTFS, options=options)
    eventually(lambda: ask(again, f"{url}/a.txt") == "hello 200", within=20, every=0.1)
