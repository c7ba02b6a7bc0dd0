"""The embedded engine on real servers: its life, what it survives, and what it keeps from others."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from stack import Postgres, Redis, Stack, WebApp
from stack.components.postgres import cluster
from stack.engines.base import LogQuery
from stack.engines.embedded import enter
from stack.engines.embedded.accounts import run_as_of
from stack.engines.embedded.namespace import plan_mounts
from stack.errors import DeclarationError, StackError
from tests.cli import ROOT, eventually
from tests.embedded.running import Running, kill, running
from tests.servers import MISSING

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
NAMES = ("web", "db", "cache")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An instance that is up, for tests that leave it so."""
    with running(tmp_path_factory.mktemp("embedded")) as one:
        one.up()
        yield one


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Running]:
    """An instance that is not up yet."""
    with running(tmp_path) as made:
        yield made


def test_its_life(one: Running) -> None:
    assert one.observe().components == {}
    one.up()
    assert one.visit() == 1
    ids = one.ids()
    one.up()
    assert one.ids() == ids, "nothing changed: nothing is touched"
    one.engine.stop()
    assert one.states() == dict.fromkeys(NAMES, "exited")
    assert one.processes() == []
    with one.engine.start():
        eventually(lambda: one.answers)
    assert one.visit() == 2
    one.engine.down()
    assert one.observe().components == {}
    assert one.engine.resources().volumes == (str(one.home.data("db")),)
    assert one.engine.volumes.has_data("db")
    one.up()
    assert one.visit() == 3
    one.destroy()
    assert not one.home.folder.exists()
    assert not one.home.runtime.exists()
    assert not one.engine.resources()


@pytest.mark.long
def test_two_instances_live_side_by_side(up: Running, one: Running) -> None:
    count = up.visit()
    one.up()
    assert [one.visit(), one.visit()] == [1, 2]
    one.destroy()
    assert up.visit() == count + 1


def test_a_change_restarts_what_it_concerns_alone(one: Running) -> None:
    one.up()
    before = one.ids()
    web = one.stack["web"]
    assert isinstance(web, WebApp)
    changed = WebApp(web.name, web.source, command=web.command, uses=web.uses, environment={"WEB_CONCURRENCY": 1})
    one.stack = Stack(one.stack.name, [changed, one.stack["db"], one.stack["cache"]])
    one.up()
    after = one.ids()
    assert {name for name in NAMES if before[name] != after[name]} == {"web"}
    one.stack = Stack(one.stack.name, [changed, one.stack["db"], one.stack["cache"], Redis("more")])
    one.up()
    assert one.ids()["web"] == after["web"]
    assert one.states()["more"] == "running"
    one.stack = Stack(one.stack.name, [changed, one.stack["db"], one.stack["cache"]])
    one.up()
    assert "more" not in one.states()


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_server_is_started_again(up: Running, name: str) -> None:
    count = up.visit()
    before = up.observe().components[name]
    kill(up.process(name))

    def back() -> bool:
        now = up.observe().components[name]
        return now.restarts == before.restarts + 1 and now.well

    eventually(back)
    assert up.observe().components[name].id == before.id
    eventually(lambda: up.answers)
    assert up.visit() == count + 1


def test_a_crash_from_inside_is_seen(up: Running) -> None:
    before = up.observe().components["db"].restarts
    up.engine.session("db").run(["sh", "-c", 'kill -QUIT "$(head -n 1 "$PGDATA/postmaster.pid")"'])
    eventually(lambda: up.observe().components["db"].restarts > before)
    eventually(lambda: all(state.well for state in up.observe().components.values()))


def test_what_a_killed_supervisord_left_is_taken_over(one: Running) -> None:
    one.up()
    count = one.visit()
    orphans = {name: one.process(name) for name in NAMES}
    kill(one.process("supervisord"))
    assert one.states() == dict.fromkeys(NAMES, "running"), "they run, whoever started them"
    assert one.visit() == count + 1
    one.up()
    assert not set(orphans.values()) & set(one.processes())
    assert one.visit() == count + 2
    kill(one.process("supervisord"))
    one.engine.down()
    assert one.processes() == []


@pytest.mark.long
def test_a_frozen_supervisord_is_ended(one: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.engines.embedded.control._TIMEOUT", 0.5)
    one.up()
    kill(one.process("supervisord"), signal.SIGSTOP)
    with pytest.raises(StackError) as raised:
        one.observe()
    assert raised.value.code == "supervisord-silent"
    assert "stackctl down" in raised.value.hint
    one.engine.down()
    assert one.processes() == []
    one.up()
    assert one.visit() == 1


@pytest.mark.long
def test_a_reboot_in_between(one: Running) -> None:
    one.up()
    count = one.visit()
    one.kill_all()
    for entry in one.home.runtime.iterdir():
        entry.unlink()
    one.home.runtime.rmdir()
    assert one.states() == dict.fromkeys(NAMES, "exited")
    one.up()
    assert one.visit() == count + 1


def test_a_taken_port_is_replaced(one: Running) -> None:
    one.up()
    count = one.visit()
    one.engine.stop()
    ports = json.loads(one.home.ports.read_text())
    with socket.create_server(("127.0.0.1", ports["db"])):
        one.up()
        assert json.loads(one.home.ports.read_text())["db"] != ports["db"]
        assert json.loads(one.home.ports.read_text())["cache"] == ports["cache"]
        assert one.visit() == count + 1


def test_an_app_that_ends_is_told(tmp_path: Path) -> None:
    stack = Stack("shop", [WebApp("web", source="../service", command=["sh", "-c", "echo why; exit 3"])])
    with running(tmp_path) as one:
        one.stack = stack
        with pytest.raises(StackError, match=r"web keeps exiting \(3 restarts, exit code 3\)") as raised:
            one.up()
        assert raised.value.code == "crash-loop"
        assert "why" in raised.value.output


@pytest.mark.long
def test_a_first_start_that_is_killed_anywhere_starts_over(one: Running) -> None:
    """A SIGKILL of everything at ever later points of the first start; the next one recovers by itself."""
    half_made = 0
    data = one.home.data("db")
    for point in range(14):
        engine = one.engine
        engine.check()
        for secret in one.stack.secrets("container"):
            one.make_secret(secret.id)
        engine.apply()
        threading.Event().wait(0.05 + 0.1 * point)
        one.kill_all()
        half_made += bool(list(data.parent.glob(".db.*")))
        assert not data.exists() or cluster.problem(data, 18) is None, "what has the name is whole"
    assert half_made >= 5, "too few of the points lay within the making"
    one.up()
    assert one.visit() >= 1
    assert list(data.parent.glob(".db.*")) == []


@pytest.mark.long
def test_data_survives_being_killed_again_and_again(one: Running) -> None:
    one.up()
    count = one.visit()
    made = one.home.data("db").stat().st_ino
    for _ in range(3):
        one.kill_all()
        one.up()
        count += 1
        assert one.visit() == count
    assert one.home.data("db").stat().st_ino == made


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda data: (data / cluster.MARK).unlink(), "data-incomplete"),
        (lambda data: (data / "PG_VERSION").unlink(), "data-incomplete"),
        (lambda data: (data / "PG_VERSION").write_text("17\n"), "data-version"),
    ],
)
def test_data_that_cannot_be_used_is_told_and_not_touched(
    one: Running, break_it: Callable[[Path], None], code: str
) -> None:
    data = one.home.data("db")
    one.engine.check()
    one.make_home(data)
    (data / "PG_VERSION").write_text("18\n")
    (data / cluster.MARK).touch()
    break_it(data)
    before = sorted(path.name for path in data.iterdir())
    with pytest.raises(StackError) as raised:
        one.up()
    assert raised.value.code == code
    assert str(data) in raised.value.message
    assert sorted(path.name for path in data.iterdir()) == before
    assert one.processes() == []


def test_other_users_need_a_password(up: Running) -> None:
    ports = json.loads(up.home.ports.read_text())
    # On the socket the owner of the data needs none, and a root who tests is not the owner.
    sockets = {str(up.home.runtime): "Peer authentication failed"} if os.geteuid() == 0 else {}
    for host, refusal in ({"127.0.0.1": "password authentication failed"} | sockets).items():
        with pytest.raises(psycopg2.OperationalError, match=refusal):
            psycopg2.connect(
                host=host, port=ports["db"], user="student", dbname="student_notes", password="no", passfile="/dev/null"
            )
    with socket.create_connection(("127.0.0.1", ports["cache"]), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


def test_no_password_can_be_seen(up: Running) -> None:
    """Not in an argument, a variable, a log or a file, but in the two kinds that are there to hold it."""
    passwords = [up.secret(name).encode() for name in ("db_password", "cache_password")]
    processes = up.processes()
    assert len(processes) > 5
    for process in processes:
        for name in ("cmdline", "environ"):
            shown = Path(f"/proc/{process}/{name}").read_bytes()
            assert not any(password in shown for password in passwords), (process, name)
    allowed = {up.home.file("db", "pgpass"), *up.home.secrets.iterdir()}
    for path in up.home.folder.rglob("*"):
        if path.is_file() and path not in allowed and path.parent.parent != up.home.data("db"):
            assert not any(password in path.read_bytes() for password in passwords), path


def test_every_folder_is_its_owners_alone(up: Running) -> None:
    home = up.home
    folders = [home.folder, home.runtime, home.secrets, home.runs, home.logs, home.commands, home.data("db")]
    for folder in (*folders, home.configuration.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    for file in (home.configuration, home.file("db", "pgpass"), home.file("cache", "access"), home.log("db")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_an_app_without_a_command_is_told_before_anything_is_made(one: Running) -> None:
    one.stack = Stack("shop", [WebApp("web", source="../service")])
    with pytest.raises(DeclarationError, match="shop/web/command"):
        one.up()
    assert not one.home.folder.exists()


@pytest.mark.long
def test_an_app_that_lost_its_command_can_still_be_ended(one: Running) -> None:
    one.up()
    one.stack = Stack(one.stack.name, [WebApp("web", source="../service")])
    assert set(one.states()) == set(NAMES)
    one.engine.down()
    assert one.processes() == []


def test_a_pipe_that_ends_early_ends_a_command_quietly(up: Running) -> None:
    answer = up.engine.session("web").run(["sh", "-c", "yes | head -n 1"])
    assert (answer.stdout, answer.stderr) == ("y\n", "")


@as_root
def test_no_process_is_roots(up: Running) -> None:
    run_as = run_as_of(up.home.folder)
    assert run_as is not None
    for process in up.processes():
        status = Path(f"/proc/{process}/status").read_text()
        found = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert found["Uid"] == [str(run_as.user)] * 4, process
        assert found["Gid"] == [str(run_as.group)] * 4, process
        assert found["Groups"] == [], process
        assert int(found["CapEff"][0], 16) == int(found["CapBnd"][0], 16) == 0, process
        assert found["NoNewPrivs"] == ["1"], process
    said = up.engine.session("db").run(["sh", "-c", "id -u; id -G; grep NoNewPrivs /proc/self/status"]).stdout.split()
    assert said == [str(run_as.user), str(run_as.group), "NoNewPrivs:", "1"]


@as_root
def test_the_servers_view_ends_with_them_and_shows_only_what_they_need(tmp_path: Path) -> None:
    """An app that only root can reach is bound into the view, read-only; beside it nothing of root's is there."""
    closed = tmp_path / "closed"
    (closed / "app").mkdir(parents=True)
    (closed / "secret").touch()
    (closed / "app" / "file").touch()
    closed.chmod(0o700)
    stack = Stack("shop", [WebApp("web", source=str(closed / "app"), command=["python3", "-m", "http.server", "0"])])
    with running(tmp_path) as one:
        one.stack = stack
        one.engine.apply()
        eventually(lambda: one.states()["web"] == "running" and one.engine.session("web").run(["true"]).ok)
        assert one.engine.session("web").run(["ls"]).stdout == "file\n"
        assert one.engine.session("web").run(["touch", "new"]).exit_code != 0
        assert one.engine.session("web").run(["ls", str(closed)]).stdout == "app\n"
    assert (closed / "app" / "file").exists()
    assert str(closed) not in Path("/proc/self/mountinfo").read_text()


@as_root
def test_a_plain_users_instance_is_that_users(tmp_path: Path) -> None:
    user = pwd.getpwnam("games")
    mounts = plan_mounts([Path(sys.base_prefix), Path(sys.prefix), ROOT])
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, user.pw_uid, user.pw_gid)
        options = {"folder": str(ROOT), "user": [user.pw_uid, user.pw_gid], "staging": str(tmp_path)}
        command = [sys.executable, "-I", "-S", enter.__file__, json.dumps(options | {"mounts": mounts.over})]
        script = [sys.executable, "-m", "tests.embedded.running", folder]
        environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "HOME": folder}
        ended = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, f"{{{user.pw_uid}}} {{'0o700'}}\n"), ended.stderr


def test_a_runtime_folder_of_another_user_is_refused(one: Running) -> None:
    one.engine.check()
    one.make_home(one.home.runtime.parent)
    one.home.runtime.symlink_to("/tmp")
    try:
        with pytest.raises(StackError, match="is not a folder of the user") as raised:
            one.up()
        assert raised.value.code == "state-unusable"
    finally:
        one.home.runtime.unlink()


@pytest.mark.parametrize("exit_code", [0, 1, 7, 255])
def test_exec_gives_the_commands_exit_code(up: Running, exit_code: int) -> None:
    assert up.engine.session("web").run(["sh", "-c", f"exit {exit_code}"]).exit_code == exit_code


def test_exec_of_what_is_not_there(up: Running) -> None:
    assert up.engine.session("web").run(["no-such-command"]).exit_code == 127
    assert up.engine.session("web").run(["/etc/passwd"]).exit_code == 126


def test_exec_that_gives_no_answer(up: Running) -> None:
    with pytest.raises(StackError) as raised:
        up.engine.session("web").run(["sleep", "60"], timeout=0.3)
    assert raised.value.code == "no-answer"


def test_the_commands_that_people_know(up: Running) -> None:
    count = up.visit()
    query = ["psql", "-U", "student", "-d", "student_notes", "-Atc", "SELECT visits FROM visit_counter"]
    assert up.engine.session("db").run(query).stdout == f"{count}\n"
    cache = {
        ("GET", "visit_counter:homepage"): (0, f"{count}\n"),
        ("SET", "odd", "a 'b' \"c\" $d"): (0, "OK\n"),
        ("GET", "odd"): (0, "a 'b' \"c\" $d\n"),
        ("--json", "GET", "none"): (0, "null\n"),
        ("DEL", "odd"): (0, "1\n"),
        ("CONFIG", "GET", "maxmemory"): (0, "maxmemory\n67108864\n"),
        ("NONSENSE",): (0, "ERR unknown command 'NONSENSE', with args beginning with: \n\n"),
        ("-e", "NONSENSE"): (1, ""),
        ("-h", "127.0.0.1", "-e", "PING"): (0, "PONG\n"),
    }
    for words, expected in cache.items():
        answer = up.engine.session("cache").run(["redis-cli", *words])
        assert (answer.exit_code, answer.stdout) == expected, (words, answer)


def test_psql_works_with_the_variables_of_env(up: Running) -> None:
    variables = dict(up.engine.environment())
    ended = subprocess.run(["psql", "-wAtc", "SELECT 1"], env=variables, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr
    assert up.secret("db_password") not in str(variables)


def test_what_was_stopped_by_hand_is_started_by_the_next_up(one: Running) -> None:
    one.up()
    count = one.visit()
    ended = subprocess.run(
        ["supervisorctl", "stop", "db"], env=dict(one.engine.environment()), capture_output=True, text=True, check=False
    )
    assert ended.stdout == "db: stopped\n", ended.stderr
    assert one.states() == {"web": "running", "db": "exited", "cache": "running"}
    one.up()
    assert one.visit() == count + 1


def test_logs(up: Running) -> None:
    assert "ready to accept connections" in "\n".join(up.engine.log_lines("db", None))
    assert {line.name for line in up.engine.read_logs(LogQuery(tail=5))} == set(NAMES)
    assert len(up.engine.log_lines("cache", 2)) == 2
    assert {line.name for line in up.engine.read_logs(LogQuery(("db", "cache"), 1))} == {"db", "cache"}


def test_free_ports_are_not_the_published_one(up: Running) -> None:
    ports = json.loads(up.home.ports.read_text())
    assert ports["web"] == up.port
    assert len(set(ports.values())) == 3


def test_a_database_with_a_reserved_word_for_a_name(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        one.stack = Stack("shop", [Postgres("db", "user", "table"), Postgres("other", "a", "postgres")])
        one.up()

        def ask(name: str, sql: str) -> str:
            return one.engine.session(name).run(["psql", "-Atc", sql]).stdout

        assert ask("db", "SELECT current_database(), current_user") == "table|user\n"
        assert ask("other", "SELECT current_database(), current_user") == "postgres|a\n"
        assert ask("db", "SHOW server_encoding; SELECT upper('é'); SHOW data_checksums") == "UTF8\nÉ\non\n"
