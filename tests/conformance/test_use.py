"""What people do with an instance that is up."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess

import pytest

from tests.cli import Cli, eventually, get
from tests.conformance.engines import on_a_server_at_length, on_a_server_too, on_one_engine
from tests.terminal import on_a_terminal, reset_on_a_terminal

# With the engine's own tools, behind the back of stackctl.
STOP_DB = {"compose": ["docker", "compose", "stop", "db"], "embedded": ["supervisorctl", "stop", "db"]}


def test_every_visit_counts_one(up: Cli) -> None:
    first = up.visit()
    assert [up.visit(), up.visit()] == [first + 1, first + 2]


@on_a_server_too
def test_up_again_changes_nothing(up: Cli) -> None:
    before = up.data("status")["components"]
    count = up.visit()
    again = up.data("up")
    assert again["changed"] is False
    assert up.data("status")["components"] == before, "no component may be made anew or started again"
    assert up.visit() == count + 1
    assert again["urls"] == {"web": f"http://localhost:{up.port}"}, "the port that was chosen is remembered"


@on_a_server_too
def test_database_cache_and_page_show_the_same_number(up: Cli) -> None:
    count = up.visit()
    found = up.data("inspect")
    row = dict(zip(found["db"]["columns"], found["db"]["rows"][0], strict=True))
    assert (row["page"], row["visits"]) == ("homepage", str(count))
    cached = found["cache"]
    assert (cached["key"], cached["value"], cached["database"], cached["agreement"]) == (
        "visit_counter:homepage",
        str(count),
        str(count),
        "agrees",
    )
    assert 0 < cached["ttl"] <= 600


def test_inspect_is_readable(up: Cli) -> None:
    count = up.visit()
    db = up.ok("inspect", "db").stdout
    assert db.splitlines()[0].split()[:2] == ["page", "visits"]
    assert db.splitlines()[2].split()[:2] == ["homepage", str(count)], "below the names and a rule"
    assert db.endswith("(1 row)\n")
    cache = up.ok("inspect", "cache").stdout
    assert f"visit_counter:homepage = {count}  (expires in " in cache
    assert f"db holds {count}: the cache agrees" in cache


def test_a_query_may_be_anything(up: Cli) -> None:
    answer = up.data("inspect", "db", "--query", "SELECT 1 AS one, NULL AS nothing, '' AS empty, 'a,\"b' AS odd")
    assert (answer["columns"], answer["rows"]) == (["one", "nothing", "empty", "odd"], [["1", None, "", 'a,"b']])
    assert up.ok("inspect", "db", "--query", "CREATE TEMP TABLE t (x int)").stdout == "(done, no rows)\n"


def test_a_wrong_query_is_told_in_postgresqls_words(up: Cli) -> None:
    error = up.fails("inspect", "db", "--query", "SELECT * FROM nowhere", code="query-failed")
    assert 'relation "nowhere" does not exist' in error["message"]


def test_a_missing_key_is_an_answer(up: Cli) -> None:
    answer = up.data("inspect", "cache", "--key", "no such key")
    assert (answer["exists"], answer["value"], answer["ttl"]) == (False, None, None)


@pytest.mark.parametrize(
    ("made", "kind", "value"),
    [
        (["SET", "{key}", "$HOME 'x' \"y\""], "string", "$HOME 'x' \"y\""),
        (["RPUSH", "{key}", "a", "b"], "list", ["a", "b"]),
        (["HSET", "{key}", "field", "value"], "hash", ["field", "value"]),
        (["SADD", "{key}", "member"], "set", ["member"]),
        (["ZADD", "{key}", "2", "member"], "zset", ["member", "2"]),
    ],
)
def test_any_kind_of_key_is_shown(up: Cli, made: list[str], kind: str, value: object) -> None:
    key = f"test:{kind}"
    up.ok("exec", "cache", "--", "redis-cli", *[word.format(key=key) for word in made])
    answer = up.data("inspect", "cache", "--key", key)
    assert (answer["kind"], answer["value"], answer["ttl"]) == (kind, value, None)


def test_a_cache_that_is_ahead_is_told_and_corrected_by_a_visit(up: Cli) -> None:
    count = up.visit()
    up.ok("exec", "cache", "--", "redis-cli", "SET", "visit_counter:homepage", str(count + 1000))
    assert up.data("inspect", "cache")["agreement"] == "ahead"
    assert up.visit() == count + 1
    assert up.data("inspect", "cache")["agreement"] == "agrees"


def test_a_key_that_is_gone_is_told_and_filled_by_a_visit(up: Cli) -> None:
    up.ok("exec", "cache", "--", "redis-cli", "FLUSHALL")
    assert up.data("inspect", "cache")["agreement"] == "empty"
    up.visit()
    assert up.data("inspect", "cache")["agreement"] == "agrees"


@on_a_server_too
def test_the_commands_that_students_know_work(up: Cli) -> None:
    count = up.visit()
    sql = "SELECT * FROM visit_counter;"
    psql = up.ok("exec", "db", "--", "psql", "-U", "student", "-d", "student_notes", "-c", sql)
    assert "homepage |" in psql.stdout
    assert f" {count} |" in psql.stdout
    cached = up.ok("exec", "cache", "--", "redis-cli", "GET", "visit_counter:homepage")
    assert cached.stdout == f"{count}\n"


@on_a_server_too
@pytest.mark.parametrize("exit_code", [0, 1, 7, 125, 255])
def test_exec_ends_with_the_commands_exit_code(up: Cli, exit_code: int) -> None:
    assert up.run("exec", "web", "--", "sh", "-c", f"exit {exit_code}").exit_code == exit_code


@on_a_server_too
def test_exec_pipes_both_ways(up: Cli) -> None:
    result = up.ok("exec", "db", "--", "sh", "-c", "tr a-z A-Z; echo err >&2", stdin="hello\n")
    assert (result.stdout, result.stderr) == ("HELLO\n", "err\n")


def test_exec_in_json_holds_what_the_command_wrote(up: Cli) -> None:
    result = up.run("exec", "--json", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 4")
    assert result.exit_code == 4
    assert result.envelope["data"] == {"exit_code": 4, "stdout": "out\n", "stderr": "err\n"}


@on_a_server_too
def test_exec_is_interactive_on_a_terminal(up: Cli) -> None:
    leader, follower = pty.openpty()
    command = up.arguments("exec", "db", "--", "sh", "-c", "test -t 0 && echo a terminal")
    ended = subprocess.run(
        command, stdin=follower, stdout=follower, stderr=follower, env=up.whole_environment, cwd=up.folder,
        timeout=60, check=False,
    )  # fmt: skip
    os.close(follower)
    assert ended.returncode == 0
    assert b"a terminal" in os.read(leader, 4096)
    os.close(leader)


def test_logs_of_one_and_of_all(up: Cli) -> None:
    assert "ready to accept connections" in up.ok("logs", "db").stdout
    everything = up.data("logs")["lines"]
    assert {re.split(r"-1 | ", line)[0] for line in everything} == {"web", "db", "cache"}
    assert len(up.data("logs", "--tail", "2", "cache")["lines"]) == 2
    two = up.data("logs", "--tail", "2", "db", "cache")["lines"]
    assert sorted(line.partition(" |")[0].rstrip().removesuffix("-1") for line in two) == ["cache"] * 2 + ["db"] * 2
    assert "elsewhere" in up.fails("logs", "db", "elsewhere", code="service-unknown", exit_code=2)["message"]


@on_a_server_at_length
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_logs_follow_until_interrupted(up: Cli, number: signal.Signals) -> None:
    grep = "relation .a_line_for_the_log"
    with up.start("logs", "-f", "--json", "--tail", "0", "--grep", grep, "db") as following:
        lines = following.stdout
        assert lines is not None

        def provoked() -> str:
            up.run("inspect", "db", "--query", "SELECT * FROM a_line_for_the_log")
            ready, _, _ = select.select([lines], [], [], 1)
            return lines.readline() if ready else ""

        entry = json.loads(eventually(provoked))
        assert (entry["component"], entry["replica"]) == ("db", None)
        assert "a_line_for_the_log" in entry["text"]
        # All but Ctrl-C reaches stackctl alone, and nothing more is logged that could end what it runs.
        os.killpg(following.pid, number) if number == signal.SIGINT else os.kill(following.pid, number)
        assert following.wait(20) == 130


def test_a_log_line_does_not_act_on_the_terminal(up: Cli) -> None:
    up.run("inspect", "db", "--query", 'SELECT * FROM "a\x1b]0;owned\x07b"')
    eventually(lambda: "owned" in up.ok("logs", "--tail", "5", "db").stdout)
    assert "\x1b]0;owned\x07" in up.ok("logs", "--tail", "5", "db").stdout
    written = on_a_terminal(up, "logs", "--tail", "5", "db").written
    assert r"\x1b]0;owned\x07" in written
    assert "\x07" not in written


@on_one_engine
def test_up_takes_a_password_that_was_written_with_echo(kept: Cli) -> None:
    kept.ok("down")
    path = kept.state / "secrets" / "cache_password"
    path.chmod(0o644)
    path.write_text("written-with-echo-123456\n")
    assert "cache_password: removed the newline" in kept.ok("up").stderr
    assert path.read_bytes() == b"written-with-echo-123456"
    assert kept.ok("exec", "cache", "--", "redis-cli", "PING").stdout == "PONG\n"
    assert get(f"{kept.url}/")[0] == 200
    assert "removed the newline" not in kept.ok("up").stderr


def test_status_shows_each_component(up: Cli) -> None:
    found = up.data("status")
    assert (found["state"], found["urls"]) == ("up", {"web": up.url.replace("127.0.0.1", "localhost")})
    for name in ("web", "db", "cache"):
        component = found["components"][name]
        assert (component["state"], component["health"], component["restarts"]) == ("running", "healthy", 0), name
    lines = up.ok("status").stdout.splitlines()
    made_of = "COMMAND" if up.engine == "embedded" else "IMAGE"
    assert lines[0].split() == ["COMPONENT", "STATE", "HEALTH", "SINCE", "RESTARTS", "PORTS", "MEMORY", made_of]
    assert [line.split()[0] for line in lines[1:4]] == ["web", "db", "cache"]
    assert lines[-1] == f"engine: {up.engine}", "the reason was told by the `up` that chose it"
    assert (found["engine"], found["engine_reason"]) == (up.engine, None)


@pytest.mark.parametrize(
    "words",
    [["status"], ["inspect"], ["inspect", "db"], ["inspect", "cache"], ["logs"], ["render"], ["env"], ["version"],
     ["exec", "web", "--", "true"]],
)  # fmt: skip
def test_every_command_speaks_json(up: Cli, words: list[str]) -> None:
    result = up.ok("--json", *words)
    envelope = json.loads(result.stdout)
    assert set(envelope) == {"schema", "command", "ok", "data", "error"}
    assert (envelope["schema"], envelope["ok"], envelope["error"]) == (1, True, None)
    assert envelope["command"] == " ".join(words[:2] if words[0] == "inspect" else words[:1])
    assert result.stderr == ""


@on_a_server_too
def test_health_of_the_service_is_seen_through_the_port(up: Cli) -> None:
    status, health = get(f"{up.url}/health")
    assert (status, health["status"]) == (200, "pass")


def test_reset_without_a_terminal_needs_yes_and_keeps_all(up: Cli) -> None:
    count = up.visit()
    error = up.fails("reset", code="usage", exit_code=2)
    assert "--yes" in error["hint"]
    assert up.visit() == count + 1


@pytest.mark.parametrize("answer", ["n", ""])
def test_reset_asks_on_a_terminal_and_keeps_all(up: Cli, answer: str) -> None:
    count = up.visit()
    assert reset_on_a_terminal(up, answer) == 1
    assert up.visit() == count + 1


def test_a_component_that_does_not_run_is_told(up: Cli) -> None:
    variables = up.whole_environment | up.data("env")
    subprocess.run(STOP_DB[up.engine], env=variables, check=True, capture_output=True)
    error = up.fails("exec", "db", "--", "true", code="component-down")
    assert "db does not run" in error["message"]
    assert up.fails("inspect", "db", code="component-down")
    assert up.data("status")["state"] == "degraded"
    assert up.up()["changed"] is True
    # Each process of the app notices for itself that the database is back.
    eventually(lambda: up.data("status")["state"] == "up")


@on_a_server_at_length
def test_some_components_are_stopped_and_brought_up_again(kept: Cli) -> None:
    count = kept.visit()
    before = kept.data("status")["components"]["db"]["since"]
    kept.ok("stop", "web", "cache")
    stopped = kept.data("status")
    assert stopped["state"] == "partial"
    assert {name: each["state"] for name, each in stopped["components"].items()} == {
        "web": "stopped", "cache": "stopped", "db": "running",
    }  # fmt: skip
    kept.ok("start", "cache")
    assert kept.data("status")["components"]["web"]["state"] == "stopped"
    kept.ok("up", "web")
    assert kept.data("status")["state"] == "up"
    assert kept.visit() == count + 1
    assert kept.data("status")["components"]["db"]["since"] == before, "it was left alone"
