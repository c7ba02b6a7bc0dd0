"""Jobs on both engines: when they run, what waits for them, and what is told of one that fails or does not end."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_docker_at_length
from tests.ports import own_port
from tests.project import below, make_project

POINTS = int(os.environ.get("STACKCTL_POINTS", "2"))
# For so many seconds a slow job runs.
SLOW = 2.0

STACK = """\
from stack import Job, Redis, Schedule, Stack, WebApp, Worker

queue = Redis("queue")
web = WebApp(
    "web",
    source="app",
    publish=23873,
    health="/",
    uses=[queue],
    volumes={"media": "/srv/media"},
    command=["python3", "app.py"],
)
"""
FILL = 'Job("fill", of=web, command=["python3", "job.py", "first"], before=[web])'
SMOKE = 'Job("smoke", of=web, command=["python3", "job.py", "smoke"], uses=[web, queue], always=True)'
WORKER = 'Worker("worker", of=web, command=["python3", "worker.py"], uses=["fill"])'
TICK = 'Schedule("tick", of=web, command=["python3", "job.py", "tick"], cron="* * * * *")'
# Without numbers it is not known to which user its volume is to be given.
TOCK = 'Schedule("tock", of=web, user="daemon", command=["true"], cron="* * * * *")'
# As if it had been stopped for ten minutes.
ABSENT = 'echo "$(($(date +%s) / 60 - 10)) - - - 0 -" > "$STACKCTL_SCHEDULE/record"'
DUE = ABSENT.replace("- 10", "- 1")
APP = {
    "Dockerfile": "FROM python:3.14-slim\nWORKDIR /app\nCOPY . .\n",
    "app.py": """\
import http.server, json, os, pathlib
runs = pathlib.Path(os.environ["VOLUME_MEDIA"]) / "runs"
began_after = runs.read_text().split()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"began_after": began_after, "runs": runs.read_text().split()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Handler).serve_forever()
""",
    "job.py": """\
import os, pathlib, socket, sys, time, uuid
what, run = sys.argv[1], uuid.uuid4().hex
def note(word):
    with (pathlib.Path(os.environ["VOLUME_MEDIA"]) / "runs").open("a") as runs:
        runs.write(word + "\\n")
socket.create_connection((os.environ["QUEUE_HOST"], int(os.environ["QUEUE_PORT"])), 10).close()
if what.startswith("slow"):
    note(f"begin-{run}")
    if "STACKCTL_SCHEDULE" in os.environ:
        minute = (pathlib.Path(os.environ["STACKCTL_SCHEDULE"]) / "record").read_text().split()[0]
        note(f"minute-{minute}-{what}")
print("the job does", what, flush=True)
if what == "fail":
    sys.exit("there is no table")
if what == "wait":
    time.sleep(600)
if what.startswith("slow"):
    time.sleep(2)
    note(f"end-{run}")
note(what)
""",
    "worker.py": "import time\nprint('the worker works', flush=True)\ntime.sleep(3600)\n",
}


class Shop(Cli):
    """The command line for an instance of that stack, with the jobs of each test."""

    def declare(self, *others: str) -> None:
        assert self.file is not None
        self.file.write_text(f'{STACK}stack = Stack("shop", [web, queue, {", ".join(others)}])\n')

    def open(self, *others: str) -> dict[str, Any]:
        if others:
            self.declare(*others)
        return self.up()

    def actions(self) -> dict[str, str]:
        return {each["component"]: each["action"] for each in self.data("plan")["actions"]}

    def await_job(self, what: str) -> None:
        eventually(lambda: f"the job does {what}" in self.run("logs", "fill").stdout, every=0.1)

    @property
    def components(self) -> dict[str, dict[str, Any]]:
        components: dict[str, dict[str, Any]] = self.data("status")["components"]
        return components

    @property
    def runs(self) -> list[str]:
        status, answer = self.get()
        assert status == 200, answer
        return list(answer["runs"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    folder = make_project(tmp_path_factory, "shop", below("app", APP))
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    try:
        cli.open(FILL)
        yield cli
    finally:
        cli.reset()


def test_a_job_is_done_before_its_app_starts_and_once(shop: Shop) -> None:
    assert shop.get()[1] == {"began_after": ["first"], "runs": ["first"]}
    assert shop.data("status")["state"] == "up"
    done = shop.components["fill"]
    assert (done["state"], done["health"], done["problem"]) == ("done", "none", None)
    assert done["ended"] >= done["since"]
    assert "the job does first" in shop.ok("logs", "fill").stdout
    assert shop.open()["changed"] is False
    shop.ok("stop")
    shop.ok("start")
    shop.ok("down")
    shop.open()
    assert shop.runs == ["first"]
    assert shop.components["fill"]["state"] == "done"


@on_docker_at_length
def test_a_job_runs_again_after_a_change_and_its_app_runs_on(shop: Shop) -> None:
    shop.open(FILL)
    before, since = shop.runs, shop.components["web"]["since"]
    shop.declare(FILL.replace("first", "second"))
    assert shop.actions() == {"web": "keep", "queue": "keep", "fill": "run"}
    shop.open()
    assert (shop.runs, shop.components["web"]["since"]) == ([*before, "second"], since)
    source = shop.folder / "app" / "job.py"
    source.write_text(source.read_text() + "print('the new job was here')\n")
    shop.open()
    assert shop.get()[1]["began_after"] == [*before, "second", "second"], "the app began after it"
    assert "the new job was here" in shop.ok("logs", "fill").stdout


@on_docker_at_length
def test_a_job_that_needs_its_app_runs_after_it_at_each_up(shop: Shop) -> None:
    shop.open(FILL, SMOKE)
    assert shop.runs[-1] == "smoke"
    before = shop.runs
    assert shop.actions() == {"web": "keep", "queue": "keep", "fill": "keep", "smoke": "run"}
    shop.open()
    assert shop.runs == [*before, "smoke"]


def test_what_waits_for_a_failed_job_is_not_started(shop: Shop) -> None:
    shop.open(FILL)
    before, since = shop.runs, shop.components["web"]["since"]
    shop.declare(FILL.replace("first", "fail"), WORKER)
    error = shop.fails("up", "--port", str(shop.port), code="job-failed")
    assert re.fullmatch(r"the job fill failed \(exit code 1(, on the node \w+)?\)", error["message"])
    assert "there is no table" in error["output"]
    components = shop.components
    assert components["worker"]["state"] == "absent"
    assert (components["fill"]["state"], components["web"]["since"]) == ("exited", since), "what ran runs on"
    assert shop.runs == before
    assert shop.run("status", "--exit-code").exit_code == 1
    shop.open(FILL.replace("first", "third"), WORKER)
    assert shop.runs == [*before, "third"]
    assert shop.components["worker"]["state"] == "running"


@on_docker_at_length
def test_a_job_that_does_not_end_is_stopped(shop: Shop) -> None:
    shop.open(FILL)
    shop.declare(FILL.replace("first", "wait").replace("before", "timeout=2, before"))
    error = shop.fails("up", "--port", str(shop.port), code="job-timeout")
    assert "the job does wait" in error["output"]
    assert shop.components["fill"]["state"] == "exited"
    assert shop.components["web"]["health"] == "healthy"


@on_docker_at_length
def test_a_schedule_runs_at_its_times_and_tells_what_it_missed(shop: Shop) -> None:
    shop.open(FILL, TICK, TOCK)
    assert shop.data("status")["state"] == "up"
    before = shop.runs
    for name in ("tick", "tock"):
        shop.ok("exec", name, "--", "sh", "-c", ABSENT)
    shop.ok("stop")
    assert shop.data("status")["runs"] == {}
    shop.ok("start")
    eventually(lambda: shop.runs == [*before, "tick"])
    eventually(lambda: shop.data("status")["runs"]["tick"]["exit_code"] == 0)
    runs = shop.data("status")["runs"]["tick"]
    assert (runs["running"], runs["missed"] >= 8) == (False, True), runs
    # The run may go on past the next minute, which is missed then.
    assert runs["next_run"] > max(runs["last_run"], runs["last_missed"])
    eventually(lambda: shop.data("status")["runs"]["tock"]["missed"] >= 8)
    said = shop.ok("logs", "tick").stdout
    assert "stackctl: missed" in said
    assert "the job does tick" in said
    assert "tick: last run" in shop.ok("status").stdout
    assert shop.open()["changed"] is False


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_up_that_is_cut_off_while_a_job_runs_is_made_good(shop: Shop, number: signal.Signals) -> None:
    for point in range(POINTS):
        what = f"slow-{number.name}-{point}"
        shop.open(FILL)
        if point % 2:
            shop.ok("down")
        shop.declare(FILL.replace("first", what))
        with shop.start("up", "--port", str(shop.port)) as running:
            shop.await_job(what)
            threading.Event().wait(SLOW * point / POINTS)
            running.send_signal(number)
            _, said = running.communicate(timeout=60)
        assert running.returncode in (0, 130, -number), said
        if number != signal.SIGKILL and running.returncode:
            assert shop.components["fill"]["state"] == "exited", "a signal that can be heard ends the job too"
        shop.open()
        status, answer = shop.get()
        assert (status, shop.data("plan")["changes"]) == (200, False)
        assert not point % 2 or answer["began_after"][-1] == what, "what was down starts after the job"
        assert answer["runs"][-1] == what
        assert shop.components["fill"]["state"] == "done"
        assert overlaps(answer["runs"]) == []


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_up_that_is_cut_off_while_a_schedule_runs_is_made_good(shop: Shop, number: signal.Signals) -> None:
    for point in range(POINTS):
        what = f"slow-{number.name}-tick-{point}"
        shop.open(FILL, TICK)
        shop.ok("exec", "tick", "--", "sh", "-c", DUE)
        shop.ok("stop")
        shop.declare(FILL, TICK.replace('"tick"],', f'"{what}"],'))
        with shop.start("up", "--port", str(shop.port)) as running:
            eventually(lambda: f"the job does {what}" in shop.run("logs", "tick").stdout, every=0.1)  # noqa: B023
            threading.Event().wait(SLOW * point / POINTS)
            running.send_signal(number)
            _, said = running.communicate(timeout=60)
        assert running.returncode in (0, 130, -number), said
        shop.open()
        assert shop.pending() == []
        assert shop.data("status")["state"] == "up"
        eventually(lambda: not shop.data("status")["runs"]["tick"]["running"])
        assert overlaps(shop.runs) == []
        minutes = [each for each in shop.runs if each.startswith("minute-") and each.endswith(what)]
        assert len(set(minutes)) == len(minutes), "no minute runs twice"


def overlaps(runs: list[str]) -> list[str]:
    """The runs of a slow job that ended after another one had begun."""
    marks = [each for each in runs if each.startswith(("begin-", "end-"))]
    return [end for before, end in pairwise(marks) if end.startswith("end-") and before != end.replace("end", "begin")]
