"""Each way to fail, for real: `up` names the culprit, the cause and what to type, as soon as it is certain."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import Cli

Make = Callable[..., Cli]

DOCKERFILE = """\
FROM python:3.14-slim
WORKDIR /app
COPY . .
"""


def app(folder: Path, body: str, command: list[str] | None = None) -> Path:
    """A stack file with one app that runs on both engines, and its folder."""
    source = folder / "app"
    source.mkdir(exist_ok=True)
    (source / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    (source / "app.py").write_text(textwrap.dedent(body), encoding="utf-8")
    odd = source / "odd"
    odd.write_bytes(b"\x7fELF of another kind of machine")
    odd.chmod(0o755)
    folder.chmod(0o755)
    file = folder / "shop.py"
    file.write_text(
        "from stack import Stack, WebApp\n"
        f"web = WebApp('web', source='app', port=3000, stop_grace=1, command={command or ['python3', 'app.py']!r})\n"
        "stack = Stack('shop', [web])\n",
        encoding="utf-8",
    )
    return file


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
    "a kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", None, "crash-loop", "want of memory"),
    "another error": ("raise SystemExit('no configuration')", None, "crash-loop", "web ends again and again"),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_an_app_that_fails_is_told_with_its_cause(way: str, new_cli: Make, tmp_path: Path) -> None:
    body, command, code, message = WAYS[way]
    cli = new_cli(file=app(tmp_path, body, command))
    result = cli.run("--json", "up", "--port", str(cli.port), "--timeout", "60")
    error = result.error
    assert (result.exit_code, error["code"]) == (1, code), result
    assert message in error["message"], error
    assert error["hint"], error
    if code == "crash-loop":
        assert "stackctl logs web" in error["hint"]


def test_a_password_that_was_changed_behind_its_back_is_told_at_once(cli: Cli) -> None:
    cli.up()
    count = cli.visit()
    cli.ok("down")
    secret = cli.state / "secrets" / "db_password"
    right = secret.read_text(encoding="utf-8")
    secret.chmod(0o644)
    secret.write_text("wrong", encoding="utf-8")
    (cli.state / "applied.json").unlink()
    error = cli.fails("up", code="password-mismatch")
    assert "PostgreSQL refuses the password of student" in error["message"]
    assert "stackctl rotate" in error["hint"]
    secret.chmod(0o644)
    secret.write_text(right, encoding="utf-8")
    cli.up()
    assert cli.visit() == count + 1


def test_a_database_whose_first_start_was_cut_off_is_told(cli: Cli) -> None:
    cli.up()
    inside = ["psql", "-U", "student", "-d", "postgres"]
    for sql in ("ALTER DATABASE student_notes ALLOW_CONNECTIONS false", "DROP DATABASE student_notes WITH (FORCE)"):
        cli.ok("exec", "db", "--", *inside, "-c", sql)
    cli.ok("down")
    error = cli.fails("up", code="data-incomplete")
    assert 'database "student_notes" does not exist' in error["message"]
    assert "stackctl reset" in error["hint"]


def test_a_database_of_another_major_version_is_the_culprit_and_not_who_waits_for_it(cli: Cli) -> None:
    cli.up()
    count = cli.visit()
    cli.ok("down")
    store = cli.data("down")["kept"][0]
    _write_version(cli, store, "17")
    error = cli.fails("up", code="data-version")
    assert "PostgreSQL" in error["message"]
    assert "db" in error["message"]
    _write_version(cli, store, "18")
    cli.up()
    assert cli.visit() == count + 1, "the data was not touched"


def _write_version(cli: Cli, store: str, version: str) -> None:
    if cli.engine == "embedded":
        Path(store, "PG_VERSION").write_text(f"{version}\n", encoding="utf-8")
        return
    script = f"echo {version} > /data/18/docker/PG_VERSION"
    words = ["docker", "run", "--rm", "--network", "none", "-v", f"{store}:/data", "postgres:18", "sh", "-c", script]
    subprocess.run(words, check=True, capture_output=True)


def test_a_failure_in_json_is_one_object_with_the_last_lines(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, "print('the last words'); raise SystemExit(3)"))
    result = cli.run("up", "--json", "--port", str(cli.port))
    error = json.loads(result.stdout)["error"]
    assert (error["code"], "the last words" in error["output"]) == ("crash-loop", True)
    assert "exit code 3" in error["message"]
