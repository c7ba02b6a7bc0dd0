"""Each way to fail, for real: `up` names the culprit, the cause and what to type, as soon as it is certain."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.cli import ROOT, Cli, eventually
from tests.conformance.engines import on_docker_at_length
from tests.ports import own_port

Make = Callable[..., Cli]

DOCKERFILE = """\
FROM python:3.14-slim
ENV BIND=0.0.0.0
WORKDIR /app
COPY . .
"""
START = ("python3", "app.py")
# An app that answers every request with STATUS and BODY.
ANSWERS = """
    import http.server, os
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(STATUS)
            self.end_headers()
            self.wfile.write(BODY)
    http.server.HTTPServer((os.environ.get("BIND", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
    """


def app(folder: Path, body: str, command: Sequence[str] | None = None, dockerfile: str = DOCKERFILE) -> Path:
    """A stack file with one app that runs on both engines, and its folder."""
    source(folder, "app", body, dockerfile)
    odd = folder / "app" / "odd"
    odd.write_bytes(b"\x7fELF of another kind of machine")
    odd.chmod(0o755)
    return stack_file(
        folder,
        f"web = WebApp('web', source='app', port=3000, stop_grace=1, command={list(command or START)!r})",
        "web",
    )


def source(folder: Path, name: str, body: str, dockerfile: str = DOCKERFILE) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    (folder / name / "app.py").write_text(textwrap.dedent(body), encoding="utf-8")
    folder.chmod(0o755)


def stack_file(folder: Path, declarations: str, components: str) -> Path:
    file = folder / "shop.py"
    file.write_text(
        f"from stack import Postgres, Redis, Stack, WebApp\n{declarations}\nstack = Stack('shop', [{components}])\n",
        encoding="utf-8",
    )
    return file


def answering(status: int, body: str = "") -> str:
    """The source of an app that answers every request so."""
    return f"STATUS, BODY = {status}, {body.encode()!r}" + textwrap.dedent(ANSWERS)


WAYS = {
    "a module that is not installed": (
        "import nothing_of_this_name", None, "module-missing", "web can't import nothing_of_this_name",
    ),
    "an end without an error": ("print('done')", None, "server-ended", "web ends by itself"),
    "a program that is not there": ("", ["no-such-program"], "command-missing", "no-such-program"),
    "a script that is not there": ("", ["python3", "nowhere.py"], "command-missing", "nowhere.py"),
    "a program for another machine": ("", ["./odd"], "image-architecture", "another kind of processor"),
    "a host that has no address": (
        "import socket; socket.create_connection(('nobody.invalid', 80))", None, "name-unresolved", "no address here",
    ),
    "a file that it may not write": (
        "open('/etc/of-the-app', 'w')", None, "permission-denied", "web may not read or write",
    ),
    "a port that is taken inside": (
        """
        import os, socket
        for _ in range(2):
            taken = socket.socket(); taken.bind(("127.0.0.1", int(os.environ["PORT"]))); taken.listen(); keep = taken
            os.set_inheritable(taken.fileno(), True); other = socket.socket(); other.bind(taken.getsockname())
        """, None, "port-taken", "web can't listen",
    ),
    "a disk that is full": (
        "open('/dev/full', 'w', buffering=1).write('x\\n')", None, "disk-full", "no space left",
    ),
    "a kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, "crash-loop", "exit code 137: SIGKILL"),
    "a crash of its program": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", None, "crash-loop", "exit code 139: SIGSEGV",
    ),
    "a server that goes into the background": (
        """
        import http.server, os
        if os.fork():
            os._exit(0)
        os.setsid()
        http.server.HTTPServer((os.environ.get("BIND", "127.0.0.1"), int(os.environ["PORT"])),
                               http.server.BaseHTTPRequestHandler).serve_forever()
        """, None, "server-ended", "web ends by itself",
    ),
    "a variable that it does not have": (
        "import os; os.environ['API_KEY']", None, "variable-missing", "web needs the variable API_KEY",
    ),
    "a syntax error": ("def broken(:", None, "syntax-error", "app.py, line 1: SyntaxError"),
    "another error": ("raise SystemExit('no configuration')", None, "crash-loop", "web keeps exiting"),
}  # fmt: skip


# What tells of these is the engine, each in a way of its own; of the others the words that the app itself writes.
TOLD_BY_THE_ENGINE = (
    "an end without an error", "a program that is not there", "a script that is not there",
    "a program for another machine", "a kill", "a crash of its program", "a server that goes into the background",
    "another error",
)  # fmt: skip


@on_docker_at_length
@pytest.mark.parametrize("way", TOLD_BY_THE_ENGINE)
def test_an_app_that_fails_is_told_with_its_cause(way: str, new_cli: Make, tmp_path: Path) -> None:
    _fails(way, new_cli, tmp_path)


@on_docker_at_length
@pytest.mark.parametrize("way", [way for way in WAYS if way not in TOLD_BY_THE_ENGINE])
@pytest.mark.long
def test_an_app_that_says_why_it_fails_is_told_with_its_cause(way: str, new_cli: Make, tmp_path: Path) -> None:
    _fails(way, new_cli, tmp_path)


def _fails(way: str, new_cli: Make, tmp_path: Path) -> None:
    body, command, code, message = WAYS[way]
    cli = new_cli(file=app(tmp_path, body, command))
    result = cli.run("--json", "up", "--port", str(cli.port), "--timeout", "60")
    error = result.error
    assert (result.exit_code, error["code"]) == (1, code), result
    assert message in error["message"], error
    assert error["hint"], error
    if code == "crash-loop":
        assert " logs web" in error["hint"]
        assert "web was stopped" in error["hint"]
        assert cli.data("status")["components"]["web"]["state"] == "exited", "it does not go on for ever"
    if way == "another error":
        assert "exit code 1" in error["message"]
        assert error["output"].endswith("no configuration")


# An app that listens on an address and a port of its own choice.
LISTENS = """
    import http.server, socket
    class Server(http.server.HTTPServer):
        address_family = FAMILY
    Server((ADDRESS, PORT), http.server.SimpleHTTPRequestHandler).serve_forever()
    """


@on_docker_at_length
@pytest.mark.parametrize(
    ("family", "address", "other_port", "message"),
    [
        ("AF_INET", "127.0.0.1", True, "web listens on {other}, not on {port}"),
        ("AF_INET6", "::1", False, "web listens on port {port} of ::1"),
        ("AF_INET", "127.0.0.1", False, "web listens on port {port} of 127.0.0.1 inside its container"),
    ],
)
def test_an_app_that_no_request_reaches_is_told_with_where_it_listens(
    family: str, address: str, other_port: bool, message: str, new_cli: Make, tmp_path: Path, engine: str
) -> None:
    if engine == "embedded" and (address, other_port) == ("127.0.0.1", False):
        pytest.skip("that is where it has to listen")
    other = own_port()
    where = str(other) if other_port else "int(__import__('os').environ['PORT'])"
    body = f"import socket\nFAMILY, ADDRESS, PORT = socket.{family}, {address!r}, {where}" + textwrap.dedent(LISTENS)
    cli = new_cli(file=app(tmp_path, body))
    error = cli.fails("up", "--port", str(cli.port), "--timeout", "16", code="not-ready")
    port = cli.port if engine == "embedded" else 3000
    assert error["message"].startswith(message.format(other=other, port=port)), error
    seen = cli.data("status")
    assert seen["state"] == "degraded"
    assert message.format(other=other, port=port) in seen["components"]["web"]["problem"]


# It serves for some seconds, again and again.
FALLS = """
    import os, threading
    threading.Timer(3, lambda: (print("words of the first", flush=True), os._exit(7))).start()
    """


@on_docker_at_length
@pytest.mark.long
def test_an_app_that_crashes_later_is_not_up_and_can_be_fixed(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, textwrap.dedent(FALLS) + answering(200)))
    cli.up()
    eventually(lambda: cli.data("status")["components"]["web"]["restarts"] >= 2)
    seen = cli.data("status")
    assert seen["state"] != "up", seen
    source(tmp_path, "app", "raise SystemExit('words of the second')")
    error = cli.fails("up", "--port", str(cli.port), code="crash-loop")
    assert error["output"].endswith("words of the second"), error
    assert "words of the first" not in error["output"]
    source(tmp_path, "app", answering(200))
    assert cli.up()["restarted"] == {}


LOADS = """
    import time
    while time.process_time() < 0.9:
        pass
    raise SystemExit("no broker is declared")
    """


@on_docker_at_length
def test_a_worker_that_ends_once_it_has_loaded_is_not_called_up(new_cli: Make, tmp_path: Path) -> None:
    source(tmp_path, "app", LOADS)
    file = tmp_path / "shop.py"
    file.write_text(
        "from stack import Stack, Worker\n"
        f"stack = Stack('shop', [Worker('worker', source='app', command={list(START)!r}, stop_grace=1)])\n"
    )
    error = new_cli(file=file).fails("up", code="crash-loop")
    assert error["output"].endswith("no broker is declared"), error


def test_an_app_that_answers_no_more_is_not_called_up(new_cli: Make, tmp_path: Path) -> None:
    body = answering(200).replace("STATUS)", "503 if os.path.exists('/tmp/' + os.environ['FLAG']) else 200)")
    flag = f"stackctl-test-{own_port()}"
    source(tmp_path, "app", body)
    options = f"stop_grace=1, environment={{'FLAG': {flag!r}}}, command={START!r}"
    cli = new_cli(file=stack_file(tmp_path, f"web = WebApp('web', source='app', port=3000, {options})", "web"))
    cli.up()
    assert [cli.data("status")[key] for key in ("state",)] == ["up"]
    cli.ok("exec", "web", "--", "touch", f"/tmp/{flag}")
    try:
        seen = cli.data("status")
        error = cli.fails("wait", "--timeout", "2", code="not-ready")
    finally:
        cli.ok("exec", "web", "--", "rm", f"/tmp/{flag}")
    assert (seen["state"], seen["components"]["web"]["health"]) == ("degraded", "unhealthy")
    assert "503 from http://localhost:" in error["message"]
    cli.ok("wait", "--timeout", "30")


@on_docker_at_length
def test_a_password_that_was_changed_behind_its_back_is_told_at_once(kept: Cli) -> None:
    count = kept.visit()
    secret = kept.state / "secrets" / "db_password"
    right = secret.read_text(encoding="utf-8")
    secret.chmod(0o644)
    secret.write_text("wrong", encoding="utf-8")
    assert _login(kept) == "fail", "while it runs"
    kept.ok("down")
    assert _login(kept) == "fail", "while it is down"
    (kept.state / "applied.json").unlink()
    error = kept.fails("up", code="password-mismatch")
    assert "PostgreSQL refuses the password of student" in error["message"]
    assert " rotate" in error["hint"]
    secret.chmod(0o644)
    secret.write_text(right, encoding="utf-8")
    kept.up()
    assert kept.visit() == count + 1


def _login(cli: Cli) -> str:
    checks = cli.run("--json", "doctor").envelope["data"]["checks"]
    return str(next(each["level"] for each in checks if each["check"] == "db login"))


@on_docker_at_length
def test_a_database_whose_first_start_was_cut_off_is_told(cli: Cli) -> None:
    cli.up()
    inside = ["psql", "-U", "student", "-d", "postgres"]
    for sql in ("ALTER DATABASE student_notes ALLOW_CONNECTIONS false", "DROP DATABASE student_notes WITH (FORCE)"):
        cli.ok("exec", "db", "--", *inside, "-c", sql)
    cli.ok("down")
    error = cli.fails("up", code="data-incomplete")
    assert 'database "student_notes" does not exist' in error["message"]
    assert " reset" in error["hint"]


@on_docker_at_length
def test_a_database_of_another_version_is_the_culprit(kept: Cli) -> None:
    count = kept.visit()
    kept.ok("down")
    store = _store(kept)
    _write_version(kept, store, "17")
    error = kept.fails("up", code="data-version")
    assert "PostgreSQL" in error["message"]
    assert "db" in error["message"]
    _write_version(kept, store, "18")
    kept.up()
    assert kept.visit() == count + 1, "the data was not touched"


def _store(cli: Cli) -> str:
    """Find where the data of `db` is; beside it may be what an earlier test's restore replaced."""
    revision = json.loads((cli.state / "record.json").read_text(encoding="utf-8"))["generations"].get("db", 1)
    end = f".{revision}" if revision > 1 else ""
    (found,) = [each for each in cli.data("down")["kept"] if re.search(rf"db(-pgdata)?{re.escape(end)}$", each)]
    return str(found)


def _write_version(cli: Cli, store: str, version: str) -> None:
    _in_store(cli, store, f"echo {version} > PG_VERSION")


def _in_store(cli: Cli, store: str, script: str) -> None:
    """Run a script as the owner of a database's data, in its folder."""
    words = ["sh", "-ec", script]
    if cli.engine == "embedded":
        subprocess.run(words, check=True, cwd=store, user=Path(store).stat().st_uid)
        return
    where = ["-v", f"{store}:/data", "-w", "/data/18/docker", "--user", "999", "--network", "none"]
    subprocess.run(["docker", "run", "--rm", *where, "postgres:18", *words], check=True, capture_output=True)


def test_a_database_that_may_not_read_its_data_is_told(kept: Cli) -> None:
    count = kept.visit()
    kept.ok("down")
    store = _store(kept)
    _in_store(kept, store, "mv global locked && mkdir -m 0 global")
    try:
        error = kept.fails("up", code="permission-denied")
    finally:
        _in_store(kept, store, "rmdir global && mv locked global")
    assert "db may not read or write something" in error["message"]
    assert "ermission denied" in error["output"]
    kept.up()
    assert kept.visit() == count + 1, "the data was not touched"


@on_docker_at_length
def test_an_error_answer_of_an_app_is_shown_at_the_timeout(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, answering(503, "no licence")))
    error = cli.fails("up", "--port", str(cli.port), "--timeout", "6", code="not-ready")
    assert "503" in error["message"]
    assert "no licence" in error["message"]
    assert " logs web" in error["hint"]


@on_docker_at_length
def test_the_component_that_never_answers_is_the_culprit(new_cli: Make, tmp_path: Path) -> None:
    source(tmp_path, "api", "import threading; print('I listen to nobody', flush=True); threading.Event().wait()")
    source(tmp_path, "web", answering(200))
    file = stack_file(
        tmp_path,
        f"api = WebApp('api', source='api', port=3001, publish={own_port()}, stop_grace=1, command={START!r})\n"
        f"web = WebApp('web', source='web', port=3000, uses=[api], stop_grace=1, command={START!r})",
        "web, api",
    )
    cli = new_cli(file=file)
    # On a Swarm both are started at once, on nodes that have none of their images yet.
    timeout = "60" if cli.on_a_swarm else "6"
    error = cli.fails("up", "--port", f"web={cli.port}", "--timeout", timeout, code="not-ready")
    assert " logs api" in error["hint"]
    assert error["output"] == "I listen to nobody"


@on_docker_at_length
@pytest.mark.long
def test_an_app_that_serves_on_without_its_cache_is_not_ready(new_cli: Make, tmp_path: Path) -> None:
    def declared(more: str) -> Path:
        return stack_file(
            tmp_path,
            "db, cache = Postgres('db', user='student', database='student_notes'), Redis('cache')\n"
            f"web = WebApp('web', source={str(ROOT / 'service')!r}, port=8000, stop_grace=1,\n"
            f"    command=['python', 'serve.py'], {more})",
            "web, db, cache",
        )

    cli = new_cli(file=declared("uses=[db, cache]"))
    cli.up()
    declared("uses=[db], environment={'CACHE_HOST': '127.0.0.1', 'CACHE_PORT': 1}")
    error = cli.fails("up", "--timeout", "12", code="not-ready")
    assert f"200 from http://localhost:{cli.port}/health: cache: Redis cannot be reached" in error["message"]
    assert " logs web" in error["hint"]


def test_a_port_that_is_taken_after_it_was_found_free_is_told(new_cli: Make, tmp_path: Path) -> None:
    body = """
        import os, socket, threading
        where = ("127.0.0.1", int(os.environ["PORT"]))
        while socket.socket().connect_ex(where):
            threading.Event().wait(0.05)
        socket.socket().bind(where)
        """
    cli = new_cli(file=app(tmp_path, body, dockerfile=DOCKERFILE + "RUN sleep 3\n"))
    with cli.start("--json", "up", "--port", str(cli.port)) as up, socket.socket() as other:
        assert up.stderr is not None
        assert up.stdout is not None
        assert any("web: create" in line for line in up.stderr), "the plan was never shown"
        other.bind(("127.0.0.1", cli.port))
        other.listen()
        up.stderr.read()
        error = json.load(up.stdout)["error"]
        assert up.wait(60) == 1
    assert error["code"] == "port-taken", error
    assert " up --port" in error["hint"]
