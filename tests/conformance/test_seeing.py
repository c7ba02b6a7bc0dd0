"""To see how an instance is: status, wait, events, doctor."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.cli import Cli, crash, eventually
from tests.conformance.engines import on_a_server_at_length, on_docker_at_length
from tests.schemas import first_problem
from tests.terminal import on_a_terminal

Make = Callable[..., Cli]


@on_a_server_at_length
def test_status_tells_the_memory_of_what_runs(up: Cli) -> None:
    memory = up.data("status")["memory"]
    assert set(memory) == {"web", "db", "cache"}
    for name, found in memory.items():
        assert 2**20 < found["used"] < 2**30, (name, found)
        assert found["limit"] is None or found["used"] < found["limit"], (name, found)
    shown = up.ok("status").stdout
    assert len(re.findall(r"\d+(?:/\d+)? MiB", shown)) == 3, shown
    assert "\x1b" not in shown, "colours are for terminals"


def test_status_is_drawn_again_on_a_terminal_until_interrupted(up: Cli) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        up.arguments("status", "--watch"), stdin=follower, stdout=follower, stderr=follower, cwd=up.folder,
        env=up.whole_environment | {"TERM": "xterm", "COLUMNS": "80"}, start_new_session=True,
    ) as watching:  # fmt: skip
        os.close(follower)
        seen = b""

        def drawn_twice() -> bool:
            nonlocal seen
            ready, _, _ = select.select([leader], [], [], 0.2)
            seen += os.read(leader, 65536) if ready else b""
            return seen.count(b"COMPONENT") >= 2

        eventually(drawn_twice)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
    os.close(leader)
    assert b"\x1b[32mhealthy\x1b[0m" in seen
    assert b"Error" not in seen


def test_no_colour_where_the_user_said_so(up: Cli) -> None:
    leader, follower = pty.openpty()
    plain = up.whole_environment | {"NO_COLOR": "1"}
    subprocess.run(up.arguments("status"), stdout=follower, stderr=follower, cwd=up.folder, env=plain, check=True)
    os.close(follower)
    shown = os.read(leader, 65536)
    os.close(leader)
    assert b"healthy" in shown
    assert b"\x1b" not in shown


def test_wait_is_done_at_once_when_all_is_ready(up: Cli) -> None:
    answer = up.data("wait", "--timeout", "20")
    assert (answer["urls"], answer["engine"]) == ({"web": up.url.replace("127.0.0.1", "localhost")}, up.engine)
    assert {component["health"] for component in answer["components"].values()} == {"healthy"}


@on_docker_at_length
def test_wait_sees_what_another_terminal_starts(kept: Cli) -> None:
    kept.ok("down")
    with kept.start("wait", "--json", "--timeout", "120") as waiting:
        assert waiting.stderr is not None
        eventually(lambda: "absent" in (waiting.stderr.readline() if waiting.stderr else ""))
        kept.up()
        out, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said
    assert json.loads(out)["data"]["urls"] == {"web": kept.url.replace("127.0.0.1", "localhost")}


def test_wait_ends_when_the_time_is_over(new_cli: Make) -> None:
    error = new_cli().fails("wait", "--timeout", "1", code="not-ready")
    assert error["message"] == "not ready after 1 s: web absent, db absent, cache absent"
    assert " up" in error["hint"]


def events(cli: Cli, *words: str) -> list[dict[str, Any]]:
    return read(cli.ok("events", *words).stdout)


def read(lines: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines.splitlines()]
    assert not any(problems := [first_problem("events", event) for event in found]), problems
    return found


def test_events_tell_the_same_story_on_every_engine(kept: Cli) -> None:
    kept.ok("down")
    with kept.start("events", "--until", "ready") as following:
        assert following.stdout is not None
        first = [json.loads(following.stdout.readline()) for _ in range(3)]
        assert [(line["component"], line["from"], line["to"]) for line in first] == [
            ("web", None, "absent"),
            ("db", None, "absent"),
            ("cache", None, "absent"),
        ]
        kept.up()
        out, said = following.communicate(timeout=60)
    assert (following.returncode, said) == (0, "")
    story = read(out)
    for name in ("web", "db", "cache"):
        own = [line for line in story if line["component"] == name]
        assert own[0]["from"] == "absent", own
        assert own[-1]["to"] == "healthy", own
        assert [line["from"] for line in own[1:]] == [line["to"] for line in own[:-1]], "no change was left out"
    with kept.start("events", "--until", "down") as following:
        assert following.stdout is not None
        following.stdout.readline()
        crash(kept, "cache")
        kept.ok("stop")
        out, said = following.communicate(timeout=60)
    assert (following.returncode, said) == (0, "")
    story = read(out)
    assert max(line["restarts"] for line in story if line["component"] == "cache") >= 1, story
    ended = [line for line in story if line["component"] == "db"][-1]
    assert (ended["to"], isinstance(ended["exit_code"], int)) == ("exited", True)


def test_events_end_when_interrupted_or_without_a_reader(up: Cli) -> None:
    with up.start("events") as following:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["to"] == "healthy"
        following.send_signal(signal.SIGINT)
        _, said = following.communicate(timeout=20)
    assert (following.returncode, said) == (130, "")
    with up.start("events") as following:
        assert following.stdout is not None
        following.stdout.readline()
        following.stdout.close()
        assert following.wait(20) == 0
        assert following.stderr is not None
        assert following.stderr.read() == ""


def checks(cli: Cli, *words: str, exit_code: int = 0) -> dict[str, dict[str, str]]:
    result = cli.run("--json", "doctor", *words)
    assert result.exit_code == exit_code, result
    return {check["check"]: check for check in result.envelope["data"]["checks"]}


def test_doctor_finds_an_instance_well(up: Cli) -> None:
    found = checks(up)
    for name in (
        "python",
        "state disk",
        "state folder",
        "secrets",
        "ports",
        "instance",
        "web",
        "db",
        "cache",
        "db login",
    ):
        assert found[name]["level"] == "ok", found[name]
    assert found["ports"]["message"] == f"{up.port} is published by web"
    own = {"compose": ("docker client", "docker compose", "docker daemon", "docker clock", "docker orphans"),
           "embedded": ("embedded postgres", "embedded valkey-server", "embedded orphans")}  # fmt: skip
    assert set(own[up.engine]) <= set(found)
    assert all(check["fix"] for check in found.values() if check["level"] != "ok"), found
    assert not [check for check in found.values() if check["level"] == "fail"]


def test_doctor_names_what_is_broken_and_the_fix(up: Cli) -> None:
    stop = {"compose": ["docker", "compose", "stop", "db"], "embedded": ["supervisorctl", "stop", "db"]}[up.engine]
    subprocess.run(stop, env=up.whole_environment | up.data("env"), check=True, capture_output=True)
    up.state.chmod(0o755)
    (up.state / "secrets" / "db_password").rename(up.state / "elsewhere")
    found = checks(up, exit_code=1)
    assert found["db"]["level"] == "fail"
    assert " logs db" in found["db"]["fix"]
    assert found["state folder"]["fix"] == f"`chmod 700 {up.state}`"
    assert (found["secrets"]["level"], str(up.state / "secrets" / "db_password") in found["secrets"]["message"]) == (
        "fail",
        True,
    )
    (up.state / "elsewhere").rename(up.state / "secrets" / "db_password")
    up.state.chmod(0o700)
    up.up()
    assert checks(up)["db"]["level"] == "ok"


@pytest.mark.long
@on_docker_at_length
def test_doctor_names_what_runs_although_its_folder_is_gone(cli: Cli) -> None:
    cli.up()
    embedded = cli.engine == "embedded"
    # Where its servers live: HOME/bin is the first of what `env` puts on PATH.
    folder = Path(cli.data("env")["PATH"].split(":")[0]).parent if embedded else cli.state
    shutil.rmtree(folder)

    def orphans() -> str:
        (found,) = [
            check
            for check in cli.run("--json", "doctor").envelope["data"]["checks"]
            if check["check"] == ("embedded orphans" if embedded else "docker orphans")
        ]
        named = f"{found['message']}; {found['fix']}"
        return str(named) if str(folder) in named and found["level"] == "warn" else ""

    named = orphans()
    assert named, "what is left was not told"
    if embedded:
        number = re.search(rf"process (\d+) of {re.escape(str(folder))}\b", named)
        assert number, named
        os.kill(int(number[1]), signal.SIGTERM)
        eventually(lambda: not orphans())


def test_doctor_of_nothing_makes_nothing(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(folder=tmp_path)
    found = checks(cli)
    assert found["instance"]["message"] == f"{cli.instance} is not up"
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_holds_what_helps_and_no_secret_in_any_form(kept: Cli, tmp_path: Path) -> None:
    secrets = {path.name: path.read_text(encoding="utf-8") for path in (kept.state / "secrets").iterdir()}
    assert secrets
    forms = [form for secret in secrets.values() for form in forms_of(secret)]
    for form in forms:
        # PostgreSQL writes a statement that fails into its log.
        kept.run("inspect", "db", "--query", f"SELECT '{form}' FROM nowhere_at_all")
    assert forms[0] in kept.ok("logs", "db").stdout, "the log has to hold what must not leave the machine"
    file = tmp_path / "report.zip"
    assert str(file) in kept.ok("doctor", "--bundle", str(file)).stdout
    with zipfile.ZipFile(file) as archive:
        held = {name.removeprefix("report/"): archive.read(name).decode() for name in archive.namelist()}
    assert set(held) == {"doctor.txt", "doctor.json", "versions.json", "status.json", "configuration.txt",
                         "record.json", "logs/web.txt", "logs/db.txt", "logs/cache.txt"}  # fmt: skip
    for name, text in held.items():
        for form in forms:
            assert form not in text, f"{name} holds a secret"
        assert str(Path.home()) + "/" not in text, f"{name} says where the user lives"
    assert "nowhere_at_all" in held["logs/db.txt"]
    assert json.loads(held["status.json"])["state"] == "up"
    assert kept.fails("doctor", "--bundle", str(file), code="usage", exit_code=2)
    # With the containers goes the log that has the secrets: other tests look for them there.
    kept.ok("down")


def forms_of(secret: str) -> list[str]:
    raw = secret.encode()
    return [secret, quote(secret, safe=""), raw.hex(), base64.b64encode(raw).decode(), json.dumps(secret)[1:-1]]


@pytest.mark.parametrize("value", ["plain-value", "secret-first; $HOME 100% \"quoted\" 'it' secret-last"])
def test_a_bundle_hides_what_a_variable_names_a_secret(new_cli: Make, tmp_path: Path, value: str) -> None:
    """Asked of an instance that is not up: the configuration alone holds it."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    shop = tmp_path / "shop.py"
    shop.write_text(
        "from stack import Stack, WebApp\n"
        "stack = Stack('shop', [WebApp('web', source='app', port=3000, command=['python', 'app.py'], "
        f"environment={{'API_TOKEN': {value!r}, 'GREETING': 'hello there'}})])\n",
        encoding="utf-8",
    )
    file = tmp_path / "report.zip"
    cli = new_cli(file=shop)
    cli.run("doctor", "--bundle", str(file))
    with zipfile.ZipFile(file) as archive:
        held = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "hello there" in held, "what is no secret helps"
    for part in (value, value.split(";")[0], value.split()[-1]):
        assert part not in held, held


@on_docker_at_length
def test_commands_on_a_terminal_fit_it_and_move(up: Cli) -> None:
    for words in (["status"], ["ls"], ["plan"], ["doctor"], ["inspect"]):
        shown = on_a_terminal(up, *words)
        assert shown.exit_code == 0, shown.written
        assert shown.screen.widest <= 80, shown.screen.text
    on_a_terminal(up, "stop")
    started = on_a_terminal(up, "start")
    assert started.exit_code == 0, started.written
    assert started.screen.widest <= 80, started.screen.text
    # Each component has one line, however often its state changed.
    assert re.findall(r"✔ +\d+\.\d s  (web|db|cache) +healthy", started.screen.text) == ["web", "db", "cache"]
    assert f"\x1b[1;4m{up.url.replace('127.0.0.1', 'localhost')}" in started.written
    assert "\x1b" not in str(up.run("status")), "plain on a pipe"
