"""The command line before any engine is asked: usage, the JSON envelope, exit codes, what it loads."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

import stackctl
from stack import Job, Postgres, Redis, Stack
from stack.cli.app import TOPICS, module_of, whole
from stack.cli.components import client_names
from stack.cli.options import options_first
from stack.component import Component
from stack.engines.compose import machine
from stack.errors import StackError, UsageError
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.version import __version__
from stack.workflow.clients import find_client
from stack.workflow.finding import require_running

ROOT = Path(__file__).parents[2]
ENDED = ComponentState("1", "exited", "none", 0, 0, False, datetime(2026, 1, 2, tzinfo=UTC), "image")


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    exit_code = stackctl.main(list(words))
    printed = capsys.readouterr()
    return exit_code, printed.out, printed.err


COMMANDS = [
    "up", "plan", "status", "logs", "exec", "rotate", "stop", "start", "down", "reset", "render", "env", "version",
    "inspect", "inspect db", "inspect cache", "wait", "events", "doctor", "ls", "prune",
    "snapshot save", "snapshot list", "snapshot show", "snapshot restore", "snapshot delete", "undo",
    "dump", "load", "seed", "shell", "upgrade", "schema", "run", "ps", "open",
]  # fmt: skip


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, err = run(capsys, *command.split(), "--help")
    assert (exit_code, err) == (0, "")
    assert f"Usage: stackctl {command}".rstrip() in out
    assert "--instance" in out
    assert "--json" in out


@pytest.mark.parametrize("words", ["--help up", "-h snapshot list", "--file up --help up", "--help fly"])
def test_help_before_a_command_is_that_of_the_program(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *words.split()) == run(capsys, "--help")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fly"], "No such command 'fly'."),
        (["up", "--fast"], "No such option: --fast"),
        (["up", "--port", "0"], "--port: '0' is not a port (1-65535)"),
        (["up", "--port", "web"], "--port: 'web' is not a port (1-65535)"),
        (["up", "--port", "=80"], "--port: '=80' is not a port (1-65535)"),
        (["up", "--port", "70000"], "--port: '70000' is not a port (1-65535)"),
        (["up", "--port", "db=8000"], "--port: 'db' publishes no port"),
        (["up", "--port", "db=auto"], "--port: 'db' publishes no port"),
        (["up", "--port", "fly=8000"], "--port: 'fly' is not a component of playground"),
        (["up", "--port", "web=8001", "--port", "web=8002"], "--port is given twice for web"),
        (["up", "--port", "8001", "--port", "auto"], "--port is given twice"),
        (["up", "--port", "=auto"], "--port: '=auto' is not a port (1-65535)"),
        (["up", "--timeout", "0"], "Invalid value for '--timeout': 0.0 is not in the range x>=1"),
        (["up", "--timeout", "soon"], "Invalid value for '--timeout': 'soon' is not a valid float"),
        (["wait", "--timeout", "0"], "Invalid value for '--timeout': 0.0 is not in the range x>=1"),
        (["events", "--until", "later"], "Invalid value for '--until'"),
        (["status", "--watch"], "status --watch draws on a terminal"),
        (["down", "extra"], "Got unexpected extra argument(s) (extra)"),
        (["--instance", "A b", "status"], "'A b' is not a name for an instance"),
        (["--instance", "../x", "status"], "'../x' is not a name for an instance"),
        (["--file", "none.py", "status"], f"{ROOT / 'none.py'}: there is no such file"),
        (["status", "--file", "none.py"], f"{ROOT / 'none.py'}: there is no such file"),
        (["--engine", "nomad", "status"], "'nomad' is not an engine"),
        (["exec"], "Missing argument 'COMPONENT'."),
        (["exec", "db"], "Missing argument '-- CMD…'."),
        (["exec", "nobody", "--", "true"], "'nobody' is not a component of playground"),
        (["run"], "Missing argument 'COMPONENT'."),
        (["run", "web"], "Missing argument '-- CMD…'."),
        (["run", "web", "--"], "run: there is no command after --"),
        (["run", "nobody", "--", "true"], "'nobody' is not a component of playground"),
        (["run", "db", "--", "psql"], "db is a PostgreSQL: only one server may have its data"),
        (["run", "--", "ls"], "run: no component is named before --"),
        (["run", "--local", "--"], "run: there is no command after --"),
        (["run", "--local", "db", "--", "ls"], "db is a PostgreSQL, which no process of yours takes the place of"),
        (["up", "--local", "web", "db"], "up --local starts everything else and goes on in this terminal"),
        (["open", "nobody"], "'nobody' is not a component of playground"),
        (["open", "db"], "db is not published: db publishes no port"),
        (["open", "web.http"], "web.http is not published: web publishes the ports web"),
        (["logs", "--since", "soon"], "--since: 'soon' is neither a duration nor a time"),
        (["logs", "--since", "-5m"], "--since: '-5m' is neither a duration nor a time"),
        (["logs", "--grep", "("], "--grep: '(' is not a regular expression: missing ), unterminated subpattern"),
        (["logs", "nobody"], "'nobody' is not a component of playground"),
        (["logs", "--tail", "-1"], "Invalid value for '--tail' / '-n': -1 is not in the range x>=0"),
        (["inspect", "db", "cache"], "'cache' is a Redis"),
        (["inspect", "cache", "nobody"], "'nobody' is not a component of playground"),
        (["inspect", "nobody"], "'nobody' is not a component of playground"),
        (["inspect", "web"], "'web' is a web app, which has no client"),
        (["shell", "web"], "'web' is a web app, which has no client"),
    ],
)
def test_wrong_usage_is_one_error_with_a_hint(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    exit_code, out, err = run(capsys, *words)
    assert (exit_code, out) == (2, "")
    assert message in err
    assert "Hint: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["--json", "fly"], ["status", "--json", "--fast"], ["--json", "--file", "x", "up"]])
def test_a_failure_before_the_command_speaks_json_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, err = run(capsys, *words)
    envelope = json.loads(out)
    assert (exit_code, err) == (2, "")
    assert set(envelope) == {"schema", "command", "ok", "data", "error"}
    assert (envelope["schema"], envelope["ok"], envelope["data"]) == (1, False, {})
    assert {"code", "message", "hint"} <= set(envelope["error"])


def test_a_commands_own_arguments_are_not_read_as_ours(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys, "exec", "nobody", "--", "cat", "--json")
    assert (out, "service-unknown" in err) == ("", True)


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code, out, err = run(capsys, "version", "--json")
    assert (exit_code, err) == (0, "")
    envelope = json.loads(out)
    assert (envelope["command"], envelope["ok"], envelope["error"]) == ("version", True, None)
    assert envelope["data"]["stackctl"] == __version__


def test_version_also_as_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"stackctl {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["events"], "events prints JSON lines"),
        (["status", "--watch"], "status --watch draws on a terminal"),
    ],
)
def test_what_has_no_end_cannot_be_one_object(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, out, _ = run(capsys, *words, "--json")
    assert exit_code == 2
    assert message in json.loads(out)["error"]["message"]


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text("1 / 0\n", encoding="utf-8")
    assert "Traceback" not in run(capsys, "--file", str(file), "render")[2]
    assert "ZeroDivisionError" in run(capsys, "--debug", "--file", str(file), "render")[2]


def test_render_needs_no_docker(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    exit_code, out, err = run(capsys, "render")
    assert (exit_code, err) == (0, "")
    assert "services:" in out


def test_reset_without_a_terminal_needs_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STACKCTL_STATE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    make_docker(tmp_path / "bin", "exit 0")
    secret = tmp_path / "playground" / "secrets" / "db_password"
    secret.parent.mkdir(parents=True)
    secret.touch()
    exit_code, _, err = run(capsys, "reset")
    assert exit_code == 2
    assert "say --yes" in err
    assert str(tmp_path / "playground") in err, "what would be deleted is said before the question"
    assert secret.exists()


def make_docker(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "docker").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "docker").chmod(0o755)


BAD_WEATHER = {
    "docker-client": None,
    "docker-daemon": "echo 'Cannot connect to the Docker daemon at unix:///x.' >&2; exit 1",
    "docker-permission": "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1",
    "compose-missing": '[ "$1" = version ] && echo 1.51 || { echo "unknown command: docker compose" >&2; exit 1; }',
    "compose-old": '[ "$1" = version ] && echo 1.51 || echo 2.10.2',
    "docker-old": "echo 1.40",
}


@pytest.mark.parametrize("code", BAD_WEATHER)
def test_a_machine_that_cannot_run_it_is_told_before_anything_is_made(
    code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STACKCTL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    script = BAD_WEATHER[code]
    if script is not None:
        make_docker(tmp_path / "bin", script)
    exit_code, out, _ = run(capsys, "up", "--engine", "compose", "--json")
    error = json.loads(out)["error"]
    assert (exit_code, error["code"]) == (1, code)
    assert error["hint"]
    assert not (tmp_path / "state").exists()


def test_a_daemon_that_never_answers_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    make_docker(tmp_path / "bin", "exec sleep 60")
    check = machine.check
    monkeypatch.setattr(machine, "check", lambda within, host: check(within / 10, host))
    exit_code, out, _ = run(capsys, "up", "--engine", "compose", "--json")
    assert (exit_code, json.loads(out)["error"]["code"]) == (1, "docker-daemon")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["up", "--help"], ["version"], []])
def test_help_and_version_load_neither_docker_nor_flask(words: list[str]) -> None:
    seen = subprocess.run(
        [sys.executable, "-X", "importtime", "stackctl.py", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in seen.stderr.splitlines()}
    assert "typer" in loaded
    assert loaded.isdisjoint({"python_on_whales", "flask", "psycopg2", "redis", "yaml"})


def test_each_command_is_found_in_its_module() -> None:
    group: Any = typer.main.get_command(whole())
    topics = {(module, name) for module, topic in TOPICS.items() for name in topic.commands}
    assert topics == {(module_of(command), name) for name, command in group.commands.items()}


@pytest.mark.parametrize("words", [["status", "--help"], ["--json", "version"], ["snapshot", "save", "--help"]])
def test_a_command_loads_no_module_of_others(words: list[str]) -> None:
    code = "import sys, stackctl; stackctl.main(); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    [own] = [module for module, topic in TOPICS.items() if not {*words}.isdisjoint(topic.commands)]
    assert {*loaded.stderr.split()}.intersection(TOPICS) == {own}


@pytest.mark.parametrize("module", ["up", "status", "plan", "snapshot", "doctor"])
def test_a_command_loads_no_schemas(module: str) -> None:
    code = f"import sys, stackctl, stack.commands.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"stack.results.schema", "stack.results.every"}.isdisjoint(loaded.split())


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{shlex.quote(sys.executable)} stackctl.py render | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete(shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "stackctl.py", "--show-completion", shell],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "_STACKCTL_COMPLETE" in script.stdout + script.stderr, script


SEVERAL = """\
from stack import Postgres, Redis, Stack, WebApp, Worker
tidy = Worker("tidy", source=".", command="tidy")
stack = Stack(
    "shop",
    [WebApp("web", source="."), Postgres("orders"), Postgres("users"), Redis("sessions"), tidy],
    groups={"tools": [tidy]},
)
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "db"], "which db? The stack has: orders, users"),
        (["shell", "db"], "which db? The stack has: orders, users"),
        (["inspect", "orders", "--key", "a"], "--key: 'orders' is a PostgreSQL"),
        (["inspect", "sessions", "--query", "SELECT 1"], "--query: 'sessions' is a Redis"),
        (["inspect", "db", "sessions"], "'sessions' is a Redis"),
    ],
)
def test_a_name_that_does_not_fit_is_an_error(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(SEVERAL)
    exit_code, _, err = run(capsys, "--file", str(tmp_path / "shop.py"), "--engine", "compose", *words)
    assert (exit_code, message in err, "Hint: " in err) == (2, True, True), err


def test_a_kind_means_its_only_component_or_the_one_of_its_name() -> None:
    def found(name: str, *components: Component) -> str:
        stack = Stack("shop", components)
        return find_client(Instance("shop", "shop", stack, Path("/f"), Path("/s"), {}), name)[0]

    orders, db, cache = Postgres("orders"), Postgres("db"), Redis("sessions")
    assert found("db", orders, cache) == "orders"
    assert found("cache", orders, cache) == "sessions"
    assert found("db", orders, db) == "db"
    assert found("orders", orders, db) == "orders"


def test_of_a_job_its_log_is_offered_because_it_has_ended() -> None:
    job = Job("migrate", source=".", command=["migrate"])
    instance = Instance("shop", "shop", Stack("shop", [job]), Path("/f"), Path("/s"), {})
    with pytest.raises(UsageError) as raised:
        find_client(instance, "migrate")
    assert raised.value.hint == "`stackctl logs migrate`"
    with pytest.raises(StackError) as down:
        require_running(instance, Observed({"migrate": ENDED}), "migrate")
    assert "a job runs to its end; see `stackctl logs migrate`" in down.value.hint


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("inspect ", ["db", "cache", "orders", "users", "sessions"]),
        ("inspect o", ["orders"]),
        ("shell u", ["users"]),
        ("logs w", ["web"]),
        ("up --with t", ["tools"]),
        ("up --port w", ["web="]),
    ],
)
def test_a_shell_completes_names_of_components(typed: str, offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SEVERAL)
    line = f"stackctl --file {tmp_path / 'shop.py'} {typed}"
    asked = {"_STACKCTL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    program = [sys.executable, "-c", "import sys, stackctl; sys.argv[0] = 'stackctl'; stackctl.main()"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, env=os.environ | asked, check=False)
    assert done.stdout.split() == offered, done.stderr


def test_a_completion_of_a_broken_stack_file_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("stack = 1 /")
    context = typer.Context(typer.main.get_command(whole()))
    context.params["file"] = tmp_path / "shop.py"
    assert client_names(context, "") == []


@pytest.mark.parametrize(
    ("words", "sorted_words"),
    [
        (["db", "--json", "--", "true"], ["--json", "db", "--", "true"]),
        (["--json", "db", "--", "true"], ["--json", "db", "--", "true"]),
        (
            ["--file", "x.py", "db", "--instance", "y", "--", "ls"],
            ["--file", "x.py", "--instance", "y", "db", "--", "ls"],
        ),
        (["db", "psql", "-c", "x", "--", "y"], ["db", "psql", "-c", "x", "--", "y"]),
        (["db", "--", "sh", "--json"], ["db", "--", "sh", "--json"]),
        (["db", "--json"], ["db", "--json"]),
        ([], []),
    ],
)
def test_options_of_exec_may_stand_before_the_dashes(words: list[str], sorted_words: list[str]) -> None:
    assert options_first(words) == sorted_words


def test_exec_json_is_one_object_when_the_instance_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STACKCTL_STATE", str(tmp_path))
    assert stackctl.main(["--engine", "embedded", "exec", "db", "--json", "--", "true"]) == 1
    envelope = json.loads(capsys.readouterr().out)
    assert (envelope["ok"], envelope["error"]["code"]) == (False, "instance-down")
