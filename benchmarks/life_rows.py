"""The rows of what a day has: change, stop, start, down, up, delete, beside Docker Compose alone; and of memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.command_rows import Measure, interleaved, timed
from benchmarks.compose_project import ComposeProject
from benchmarks.figures import Comparison, Figure, Result, Target, ratio
from benchmarks.instance import STACKCTL, Instance
from benchmarks.session import Session

_AT_MOST = Target(1.1, "at most")
_MANY = """
from stack import Redis, Stack
stack = Stack("many", [Redis(f"cache{{n}}") for n in range({number})])
"""
_MANY_BY_HAND = """
  cache{n}:
    image: redis:8
    command: [redis-server, --save, "", --appendonly, "no", --maxmemory, 64mb, --maxmemory-policy, allkeys-lru]
    user: "999:999"
    restart: unless-stopped
    read_only: true
    cap_drop: [ALL]
    tmpfs: [/data, /tmp]
    healthcheck:
      {{test: [CMD, redis-cli, -e, PING], interval: 10s, timeout: 5s, start_period: 60s, start_interval: 0.5s}}
"""
# In the container of an app, or beside its process: the memory of all that has its port, shared pages in parts.
_SERVICE = """
import os, pathlib
total, mine = 0, f"PORT={os.environ['PORT']}".encode()
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        command, variables = ((process / name).read_bytes() for name in ("cmdline", "environ"))
        if b"serve.py" in command and mine in variables.split(b"\\0"):
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except OSError:
        continue
print(total)
"""


def changed(session: Session) -> Result:
    """`up` after one variable of one app has changed."""
    instance, numbers = session.noted, count()

    def own() -> None:
        instance.stackctl("up", "--set", f"NOTE=own {next(numbers)}")

    def by_hand() -> None:
        session.by_hand.noting(f"by hand {next(numbers)}").run("up", "-d", "--wait")

    measures: dict[str, Measure] = {"stackctl up": own}
    if session.engine == "compose":
        session.by_hand.run("up", "-d", "--wait")
        measures["docker compose up"] = by_hand
    times = interleaved(session, measures)
    compared = (ratio("docker compose up -d --wait", _AT_MOST, *times),) if len(times) > 1 else ()
    return Result("changed", f"up after one variable changed, {session.engine}", times, compared)


def life(session: Session) -> Result:
    """Each step from a stop to the end of all data, one after the other."""
    instance = session.noted
    own: dict[str, Measure] = {
        "stop": partial(instance.stackctl, "stop"),
        "start": partial(instance.stackctl, "start"),
        "down": partial(instance.stackctl, "down"),
        "up": instance.up,
        "reset": partial(instance.stackctl, "reset", "--yes", "--no-snapshot"),
    }
    other: dict[str, Measure] = {}
    if session.engine == "compose":
        run = partial(partial, session.by_hand.run)
        other = {
            "stop": run("stop"),
            "start": run("up", "-d", "--wait"),
            "down": run("down"),
            "up": run("up", "-d", "--wait"),
            "reset": run("down", "--volumes", "--rmi", "local"),
        }
    times: dict[str, list[float]] = {}
    for _ in range(session.rounds):
        for tool, steps, prepare in (("stackctl", own, instance.up), ("docker compose", other, other.get("up"))):
            if prepare is not None:
                prepare()
            for step, measure in steps.items():
                times.setdefault(f"{tool} {step}", []).append(timed(measure))
    instance.up()
    figures = {name: Figure(name, "s", tuple(seconds)) for name, seconds in times.items()}
    compared = tuple(
        ratio(f"docker compose, for {step}", _AT_MOST, figures[f"stackctl {step}"], figures[f"docker compose {step}"])
        for step in other
    )
    return Result("life", f"stop, start, down, up, reset, {session.engine}", tuple(figures.values()), compared)


def many(session: Session) -> Result:
    """A cold `up` of 3, 10 and 30 components that need no image built and wait for no other."""
    figures: list[Figure] = []
    compared: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="stackctl-bench-") as name:
        for number in (3, 10, 30):
            own, other = _cold(session, Path(name), number)
            figures += [own, other]
            compared.append(ratio(f"docker compose, for {number}", Target(1, "at most"), own, other))
    return Result("many", "cold up of many components, compose", tuple(figures), tuple(compared))


def _cold(session: Session, folder: Path, number: int) -> tuple[Figure, Figure]:
    file, by_hand = folder / f"many{number}.py", folder / f"many{number}.yaml"
    file.write_text(_MANY.format(number=number), encoding="utf-8")
    services = "".join(_MANY_BY_HAND.format(n=n) for n in range(number))
    by_hand.write_text(f"services:{services}", encoding="utf-8")
    options = ("--file", str(file), "--instance", f"bench-{uuid.uuid4().hex[:6]}", "--engine", "compose")
    instance = Instance(options, folder / "state", {})
    project = ComposeProject(f"bench-{uuid.uuid4().hex[:6]}", {}, by_hand)
    own: list[float] = []
    other: list[float] = []
    with _deleted(partial(instance.stackctl, "reset", "--yes", "--no-snapshot"), partial(project.run, "down")):
        for _ in range(session.rounds):
            own.append(timed(instance.up))
            instance.stackctl("reset", "--yes", "--no-snapshot")
            other.append(timed(partial(project.run, "up", "-d", "--wait")))
            project.run("down")
    return Figure(f"{number}: stackctl up", "s", tuple(own)), Figure(f"{number}: compose", "s", tuple(other))


@contextmanager
def _deleted(*deletions: Callable[[], object]) -> Iterator[None]:
    try:
        yield
    finally:
        for delete in deletions:
            delete()


def memory(session: Session) -> Result:
    """The most memory that a command holds at once, and what the service holds that runs."""
    instance, by_hand = session.noted, session.by_hand if session.engine == "compose" else None
    own = (*STACKCTL, *instance.options)
    state = {"STACKCTL_STATE": str(instance.state)}
    words = {"stackctl up": (*own, "up"), "stackctl status": (*own, "status"), "stackctl plan": (*own, "plan")}
    figures = [_most(session, name, each, state) for name, each in words.items()]
    compared: tuple[Comparison, ...] = ()
    if by_hand is not None:
        by_hand.run("up", "-d", "--wait")
        up = _most(session, "docker compose up", by_hand.command("up", "-d", "--wait"), by_hand.variables)
        compared = (ratio("docker compose, for up with nothing to do", Target(1.5, "at most"), figures[0], up),)
        figures.append(up)
    held = [int(instance.exec("web", "python", "-c", _SERVICE)) / 1024 for _ in range(session.rounds)]
    figures.append(Figure("the service", "MB", tuple(held)))
    return Result("memory", f"memory, {session.engine}", tuple(figures), compared)


def _most(session: Session, name: str, command: Sequence[str], variables: Mapping[str, str]) -> Figure:
    return Figure(name, "MB", tuple(_peak(command, variables) for _ in range(session.rounds)))


def _peak(command: Sequence[str], variables: Mapping[str, str]) -> float:
    """The most that one of its processes held, in megabytes."""
    environment = os.environ | dict(variables)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return used.ru_maxrss / 1024
