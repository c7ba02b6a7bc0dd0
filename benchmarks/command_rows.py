"""The rows of the command line."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.figures import Figure, Result, Target, difference, ratio
from benchmarks.instance import STACKCTL, CommandFailed, Instance
from benchmarks.session import Session

Measure = Callable[[], object]

_EMPTY_TYPER = "import typer; app = typer.Typer(); app.command()(lambda: None); app()"
# A component each, until there are as many as the row wants.
_MANY = """
from stack import Stack, WebApp
stack = Stack("many", [WebApp(f"app{{n}}", source="app", port=20000 + n) for n in range({number})])
"""


def help_(session: Session) -> Result:
    """What is there before any work: interpreter, imports, and a page of help."""
    times = interleaved(
        session,
        {
            "stackctl --help": partial(_run, *STACKCTL, "--help"),
            "an empty Typer app": partial(_run, sys.executable, "-c", _EMPTY_TYPER, "--help"),
        },
        least=10,
    )
    own, empty = times
    return Result("help", "--help", times, (ratio("an empty Typer app", Target(1.5, "at most"), own, empty),))


def render(session: Session) -> Result:
    """The configuration of many components. Docker Compose reads the same text where it is installed."""
    with tempfile.TemporaryDirectory(prefix="stackctl-bench-") as name:
        folder = Path(name)
        state = folder / "state"
        (folder / "app").mkdir()
        (folder / "app" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
        for number in (1, 100, 1000):
            (folder / f"stack{number}.py").write_text(_MANY.format(number=number), encoding="utf-8")
        rendered = folder / "compose.yaml"
        rendered.write_text(_output(*_render(folder, 1000), state=state), encoding="utf-8")
        times = interleaved(
            session,
            {
                "1 component": partial(_run, *_render(folder, 1), state=state),
                "100 components": partial(_run, *_render(folder, 100), state=state),
                "1000 components": partial(_run, *_render(folder, 1000), state=state),
                "plan of 1000": partial(_run, *_many(folder, 1000), "plan", state=state),
                "docker compose config": partial(_run, "docker", "compose", "-f", str(rendered), "config", "-q"),
            },
        )
    one, hundred, thousand, plan, config = times
    growth = Figure("900 more", "s", tuple(a - b for a, b in zip(thousand.values, hundred.values, strict=True)))
    tenth = Figure("99 more", "s", tuple(a - b for a, b in zip(hundred.values, one.values, strict=True)))
    return Result(
        "render",
        "render 1000 components, for Compose",
        times,
        (
            ratio("docker compose config on the result", Target(1, "at most"), thousand, config),
            ratio("docker compose config, for the plan", Target(1, "at most"), plan, config),
            ratio("99 more components, for 900 more: linear is 9.1", Target(15, "at most"), growth, tenth),
        ),
    )


def status(session: Session) -> Result:
    """How everything is."""
    instance = session.playground
    measures: dict[str, Measure] = {"stackctl status": partial(_stackctl, instance, "status")}
    if session.engine == "compose":
        measures["docker compose ps"] = partial(_run, "docker", "compose", "ps", variables=variables_of(instance))
    times = interleaved(session, measures)
    targets = (ratio("docker compose ps", Target(2.5, "at most"), *times),) if session.engine == "compose" else ()
    return Result("status", f"status, {session.engine}", times, targets)


def again(session: Session) -> Result:
    """`up` with nothing to do."""
    instance = session.playground
    measures: dict[str, Measure] = {"stackctl up": partial(_stackctl, instance, "up")}
    if session.engine == "compose":
        words = ("docker", "compose", "up", "-d", "--wait")
        measures["docker compose up"] = partial(_run, *words, variables=variables_of(instance))
        times = interleaved(session, measures)
        return Result(
            "again",
            "up with nothing to do, compose",
            times,
            (ratio("docker compose up -d --wait", Target(0.35, "at most"), *times),),
        )
    measures["an interpreter that starts"] = partial(_run, sys.executable, "-c", "pass")
    times = interleaved(session, measures)
    return Result(
        "again",
        "up with nothing to do, embedded",
        times,
        (difference("above interpreter start", Target(0.5, "at most", "s"), *times),),
    )


def cold(session: Session) -> Result:
    """`up` of a stack that has no data yet, beside what does not go through stackctl.

    The images of PostgreSQL and Redis are present, and all that the app's is built of: each builds it anew from that.
    """
    embedded = session.playground_on("embedded")
    compose, by_hand = session.playground_on("compose"), session.by_hand
    down = ("down", "--volumes", "--rmi", "local", "--timeout", "5")
    up: Mapping[str, list[float]] = {"embedded": [], "compose": [], "docker compose": []}
    for _ in range(session.rounds):
        for name, instance in (("embedded", embedded), ("compose", compose)):
            instance.stackctl("reset", "--yes", "--no-snapshot")
            up[name].append(timed(instance.up))
        by_hand.run(*down)
        up["docker compose"].append(timed(partial(by_hand.run, "up", "-d", "--wait")))
        by_hand.run(*down)
    fast, own, other = (Figure(name, "s", tuple(seconds)) for name, seconds in up.items())
    return Result(
        "cold",
        "cold up, images present",
        (own, other, fast),
        (
            ratio("docker compose up -d --wait on a file by hand", Target(1, "at most"), own, other),
            ratio("the compose engine, for the embedded one", Target(0.6, "at most"), fast, own),
        ),
    )


def interleaved(
    session: Session,
    measures: Mapping[str, Measure],
    least: int = 1,
    before: Mapping[str, Measure] | None = None,
) -> tuple[Figure, ...]:
    """How long each takes, once a round and at least so often, after one that does not count.

    `before`: what some of them need, which is not measured.
    """
    times: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(1 + max(session.rounds, least)):
        for name, measure in measures.items():
            if before and name in before:
                before[name]()
            times[name].append(timed(measure))
    return tuple(Figure(name, "s", tuple(seconds[1:])) for name, seconds in times.items())


def timed(measure: Measure) -> float:
    """The seconds that it takes."""
    began = time.perf_counter()
    measure()
    return time.perf_counter() - began


def _run(*command: str, state: Path | None = None, variables: Mapping[str, str] | None = None) -> None:
    _output(*command, state=state, variables=variables)


def _output(*command: str, state: Path | None = None, variables: Mapping[str, str] | None = None) -> str:
    more = ({"STACKCTL_STATE": str(state)} if state else {}) | dict(variables or {})
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | more,
    )
    if done.returncode:
        raise CommandFailed(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _stackctl(instance: Instance, *words: str) -> str:
    return instance.stackctl(*words)


def _many(folder: Path, number: int) -> tuple[str, ...]:
    return (*STACKCTL, "--file", str(folder / f"stack{number}.py"), "--engine", "compose")


def _render(folder: Path, number: int) -> tuple[str, ...]:
    return (*_many(folder, number), "render")


def variables_of(instance: Instance) -> dict[str, str]:
    """What `stackctl env` prints for a shell."""
    words = shlex.split(instance.stackctl("env"), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)
