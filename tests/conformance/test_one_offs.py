"""One-off commands beside the components of an instance, and its logs."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from stack.engines.docker.forward import Forwarded, forwarded
from stack.engines.embedded.strays import belonging
from stack.engines.one_offs import is_one_off
from tests.cli import Cli, eventually
from tests.conformance.engines import on_a_server_at_length, on_compose, on_docker_at_length
from tests.engine.swarm import NAMES, daemon
from tests.terminal import on_a_terminal

# With the engine's own tools, behind the back of stackctl.
STOP = {"compose": ["docker", "compose", "stop"], "embedded": ["supervisorctl", "stop"]}
COUNT = """\
import os, pathlib, psycopg2
password = pathlib.Path(os.environ["DB_PASSWORD_FILE"]).read_text()
host, port, name, user = (os.environ[f"DB_{each}"] for each in ("HOST", "PORT", "NAME", "USER"))
with psycopg2.connect(host=host, port=port, dbname=name, user=user, password=password) as connection:
    cursor = connection.cursor()
    cursor.execute("SELECT visits FROM visit_counter WHERE page = 'homepage'")
    print(*cursor.fetchone())
"""


def left(cli: Cli) -> list[str]:
    """What there is of one-off commands of the instance, running or not."""
    if cli.engine == "embedded":
        return [str(number) for number, run in belonging() if is_one_off(run.name) and cli.instance in str(run)]
    labels = ["--filter", f"label=stackctl.instance={cli.instance}", "--filter", "label=stackctl.run"]
    hosts = [["--host", daemon(name)] for name in NAMES] if cli.on_a_swarm else [[]]
    asked = [["docker", *host, "ps", "--all", "--quiet", *labels] for host in hosts]
    listed = [subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in asked]
    return "".join(listed).split()


def processes(cli: Cli) -> dict[str, object]:
    components = cli.data("status")["components"]
    return {name: (each["state"], each["restarts"], each["since"]) for name, each in components.items()}


def begun(cli: Cli, script: str) -> subprocess.Popen[str]:
    """A one-off command that goes on, once it has begun."""
    running = cli.start("run", "web", "--", "sh", "-c", f"echo begun; {script}")
    assert running.stdout is not None
    ready, _, _ = select.select([running.stdout], [], [], 60)
    assert ready
    assert running.stdout.readline() == "begun\n"
    assert len(left(cli)) >= 1
    return running


@on_a_server_at_length
def test_a_one_off_command_has_what_its_component_has(up: Cli) -> None:
    count, before = up.visit(), processes(up)
    result = up.ok("run", "web", "--", "python", "-c", COUNT)
    assert (result.stdout, result.stderr) == (f"{count}\n", "")
    assert up.ok("run", "web", "--", "cat", stdin="piped\n").stdout == "piped\n"
    assert up.run("run", "web", "--", "sh", "-c", "exit 7").exit_code == 7
    assert up.run("run", "web", "--", "no-such-program").exit_code == 127
    captured = json.loads(up.run("--json", "run", "web", "--", "sh", "-c", "echo a; echo b >&2; exit 3").stdout)
    assert captured["data"] == {"exit_code": 3, "stdout": "a\n", "stderr": "b\n"}
    assert processes(up) == before
    assert left(up) == []


def test_a_one_off_command_is_interactive_on_a_terminal(up: Cli) -> None:
    # Compose tells the size once the command runs.
    script = "test -t 0 || exit 1; until stty size | grep 97; do sleep 0.1; done; exit 5"
    typed = on_a_terminal(up, "run", "web", "--", "timeout", "30", "sh", "-c", script, columns=97)
    assert (typed.exit_code, typed.screen.text.split()) == (5, ["40", "97"])


@on_docker_at_length
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_one_off_command_ends_with_its_stackctl(up: Cli, number: signal.Signals) -> None:
    with begun(up, "sleep 600 & exec sleep 600") as running:
        os.kill(running.pid, number) if number == signal.SIGTERM else os.killpg(running.pid, number)
        assert running.wait(60) == 130
    assert eventually(lambda: not left(up))


@on_a_server_at_length
def test_what_is_left_of_a_killed_stackctl_is_removed_next(up: Cli) -> None:
    with begun(up, "sleep 600 & sleep 600") as killed, begun(up, "read line; echo $line") as goes_on:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert up.ok("run", "web", "--", "true")
        os.killpg(goes_on.pid, signal.SIGTERM)
        goes_on.communicate(timeout=60)
    assert eventually(lambda: not left(up))


@on_docker_at_length
def test_a_one_off_command_needs_what_its_component_uses(kept: Cli) -> None:
    variables = kept.whole_environment | kept.data("env")
    subprocess.run([*STOP[kept.engine], "web"], env=variables, check=True, capture_output=True)
    assert int(kept.ok("run", "web", "--", "python", "-c", COUNT).stdout) >= 0
    subprocess.run([*STOP[kept.engine], "db"], env=variables, check=True, capture_output=True)
    error = kept.fails("run", "web", "--", "true", code="component-down")
    assert error["message"].startswith("web uses what does not run: db (exited")
    with begun(kept_up(kept), "sleep 600") as running:
        kept.ok("down")
        running.communicate(timeout=60)
    assert left(kept) == []
    assert kept.fails("run", "web", "--", "true", code="instance-down")


@on_a_server_at_length
def test_a_local_command_reaches_the_database_from_this_machine(up: Cli) -> None:
    count, before = up.visit(), processes(up)
    result = up.ok("run", "--local", "--", sys.executable, "-c", COUNT)
    assert (result.stdout, result.stderr) == (f"{count}\n", "")
    assert up.run("run", "--local", "web", "--", "sh", "-c", "exit 7").exit_code == 7
    assert up.ok("run", "--local", "--", "cat", stdin="piped\n").stdout == "piped\n"
    captured = up.data("run", "--local", "--", "sh", "-c", 'pwd; stat -c %a "$(dirname $DB_PASSWORD_FILE)"')
    assert captured["stdout"].splitlines() == [str(up.folder), "700"]
    up.fails("run", "--local", "db", "--", "true", code="usage", exit_code=2)
    assert processes(up) == before


@on_compose
def test_a_port_is_forwarded_without_the_address_of_its_container(up: Cli) -> None:
    container = subprocess.run(
        [*["docker", "ps", "--quiet", "--filter", "label=com.docker.compose.service=cache", "--filter"],
         f"label=stackctl.instance={up.instance}"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with forwarded(Forwarded(lambda: container, 6379, direct=False)) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100) == b"+PONG\r\n"
        relays = ["docker", "exec", container, "sh", "-c", "cat /proc/[0-9]*/comm"]
        eventually(lambda: "bash" not in subprocess.run(relays, capture_output=True, text=True, check=False).stdout)
    assert up.ok("exec", "cache", "--", "redis-cli", "PING").stdout == "PONG\n", "the end of a relay ends nothing else"


@on_docker_at_length
def test_an_app_runs_as_a_local_process_beside_the_rest(kept: Cli) -> None:
    count = kept.visit()
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    cli = replace(kept, environment={**kept.environment, "PATH": path})
    with cli.start("up", "--local", "web") as local:
        eventually(lambda: kept.get("/health")[0] == 200 and kept.data("status")["local"])
        assert kept.visit() == count + 1, "it has the database of the instance"
        found = kept.data("status")
        assert (found["state"], found["local"], found["components"]["web"]["state"]) == ("partial", ["web"], "stopped")
        assert re.search("^web +local ", kept.ok("status").stdout, re.MULTILINE)
        again = kept.run("up", "--local", "web")
        assert (again.exit_code, "web runs as a local process already" in again.stderr) == (2, True)
        assert "process" in kept.fails("up", code="port-taken")["message"], "its port is not taken away from it"
        os.killpg(local.pid, signal.SIGINT)
        out, err = local.communicate(timeout=60)
    assert "web runs here as" in err
    assert "everything else is still up" in out
    found = kept.data("status")
    assert (found["local"], found["components"]["db"]["state"], kept.get()[0]) == ([], "running", 0)
    with socket.create_server(("127.0.0.1", kept.port)):
        taken = cli.run("up", "--local", "web")
        assert (taken.exit_code, "on which web has to listen, is taken by" in taken.stderr) == (1, True), taken
    assert kept.up()["components"]["web"]["state"] == "running"
    assert kept.visit() == count + 2


def kept_up(kept: Cli) -> Cli:
    kept.up()
    return kept


def test_logs_are_narrowed_by_time_and_pattern(up: Cli) -> None:
    up.run("inspect", "db", "--query", "SELECT * FROM an_odd_table")
    eventually(lambda: up.data("logs", "db", "--grep", "an_odd_table")["entries"])
    (entry, *_) = up.data("logs", "--since", "1h", "--grep", "relation .an_odd_table")["entries"]
    assert (entry["component"], entry["replica"]) == ("db", None)
    assert abs(time.time() - time.mktime(time.strptime(entry["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 600
    (line, *_) = up.ok("logs", "db", "--grep", "an_odd_table", "--timestamps").stdout.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z .*an_odd_table", line)
    assert up.data("logs", "--since", "2126-01-01")["entries"] == []
    assert "\x1b[" not in up.ok("logs").stdout
    shown = on_a_terminal(up, "logs", "--tail", "1").written
    assert re.search(r"\x1b\[3\dmdb +\|\x1b\[0m ", shown)
