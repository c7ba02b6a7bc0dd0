"""Drive the real command line as a user does: another process, its own instance, a port of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests import forkserver, schemas, sshd
from tests.engine.swarm import ENVIRONMENT_OF_CLIENTS
from tests.ports import own_port

ROOT = Path(__file__).parents[1]
STACKCTL = (sys.executable, str(ROOT / "stackctl.py"))
LIMIT = 240.0
SERVER = "server"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Result:
    """How a command ended. `str()` of it says all, for the message of an assertion."""

    command: Sequence[str]
    exit_code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"{' '.join(self.command)} → {self.exit_code}\nstdout: {self.stdout}\nstderr: {self.stderr}"

    @property
    def envelope(self) -> dict[str, Any]:
        parsed = json.loads(self.stdout)
        assert isinstance(parsed, dict), self
        assert not (problems := schemas.problems(parsed)), f"{problems} in {self}"
        return parsed

    @property
    def error(self) -> dict[str, str]:
        envelope = self.envelope
        assert envelope["ok"] is False, self
        error: dict[str, str] = envelope["error"]
        return error


@dataclass
class Cli:
    """`stackctl` for one instance, from a folder of its own.

    `engine`: that of the instance; `server` stands for compose on a server over SSH.
    """

    folder: Path
    instance: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=own_port)
    file: Path | None = None
    engine: str = "compose"
    environment: Mapping[str, str] = field(default_factory=dict)

    def arguments(self, *words: str) -> list[str]:
        file = ["--file", str(self.file)] if self.file else []
        return [*STACKCTL, *file, "--instance", self.instance, *words]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command that goes on, in a session of its own; the caller ends it."""
        return subprocess.Popen(
            self.arguments(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.whole_environment,
            start_new_session=True,
        )

    @property
    def whole_environment(self) -> dict[str, str]:
        engine = "compose" if self.engine == SERVER else self.engine
        state = {"STACKCTL_STATE": str(self.folder / ".stackctl"), "STACKCTL_ENGINE": engine}
        reached = sshd.shared().environment if self.engine == SERVER else {}
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STACKCTL_", "COMPOSE_", "VIRTUAL_ENV"))
        }
        return (
            own | state | dict(reached) | (ENVIRONMENT_OF_CLIENTS if self.on_a_swarm else {}) | dict(self.environment)
        )

    @property
    def on_a_swarm(self) -> bool:
        return self.engine == "swarm"

    def run(self, *words: str, stdin: str | None = None) -> Result:
        command = self.arguments(*words)
        ended = forkserver.run(command[len(STACKCTL) :], self.folder, self.whole_environment, stdin or "", LIMIT)
        result = Result(command, ended.returncode, ended.stdout, ended.stderr)
        for named in hinted_commands(result):
            # What acts on the whole machine names no instance.
            assert named.startswith(("ls", "prune")) or "--instance" in named, (
                f"{named!r} acts on another instance: {result}"
            )
        return result

    def ok(self, *words: str, stdin: str | None = None) -> Result:
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, result
        return result

    def data(self, *words: str) -> dict[str, Any]:
        data: dict[str, Any] = self.ok("--json", *words).envelope["data"]
        return data

    def fails(self, *words: str, code: str, exit_code: int = 1) -> dict[str, str]:
        """The error of a command that must fail with this code."""
        result = self.run("--json", *words)
        assert (result.exit_code, result.error["code"]) == (exit_code, code), result
        assert result.error["message"], result
        assert result.error["hint"], result
        return result.error

    def up(self, *words: str) -> dict[str, Any]:
        return self.data("up", "--port", str(self.port), *words)

    def pending(self, *words: str) -> list[dict[str, Any]]:
        """What `up` would do by the plan."""
        plan = self.data("plan", *words)
        return [each for each in plan["actions"] if each["action"] != "keep"] or [plan] if plan["changes"] else []

    def reset(self) -> Result:
        return self.run("reset", "--yes", "--no-snapshot")

    @property
    def state(self) -> Path:
        return self.folder / ".stackctl" / self.instance

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    @property
    def host(self) -> str:
        """The address at which the app answers: of a Swarm that of a node which has a task of it."""
        return urlsplit(self.url).hostname or ""

    def url_at(self, port: int) -> str:
        """Where a published port answers."""
        if self.on_a_swarm:
            # Where its tasks are, only the Swarm knows.
            urls: dict[str, str] = self.data("status")["urls"]
            return next((url for url in urls.values() if url.endswith(f":{port}")), f"http://127.0.0.1:{port}")
        return f"http://127.0.0.1:{port}"

    def get(self, path: str = "/") -> tuple[int, dict[str, Any]]:
        return get(self.url + path)

    def visit(self) -> int:
        status, answer = self.get()
        assert status == 200, answer
        return int(answer["visits"])

    def saved_logs(self) -> str:
        return "\n".join(str(self.run(*words)) for words in (("status",), ("logs", "--tail", "200")))


def hinted_commands(result: Result) -> list[str]:
    """The commands of stackctl that the hint of an error names, without the program's name."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("Hint: ")]
    with contextlib.suppress(ValueError):
        envelope = json.loads(result.stdout)
        if isinstance(envelope, dict) and envelope.get("error"):
            lines.append(envelope["error"]["hint"])
    return [named for line in lines for named in re.findall(r"`stackctl ((?!\S+ --help)[^`]+)`", line)]


def get(url: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a GET; status 0 when nobody answers."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=15) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with contextlib.suppress(ValueError):
            return error.code, json.load(error)
        return error.code, {}
    except (OSError, http.client.HTTPException) as error:
        return 0, {"error": str(error)}


def eventually(look: Callable[[], Found], within: float = 60, every: float = 0.2) -> Found:
    """The first true thing that `look` finds. Fails with the last false one when the time is over."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"not so after {within:g} s; last seen: {found!r}"
        threading.Event().wait(every)
    return found


_CRASHES = {
    # An immediate shutdown: PostgreSQL leaves everything as it is and recovers at the next start.
    "db": ("sh", "-c", 'kill -QUIT "$(head -n 1 "$PGDATA/postmaster.pid")"'),
    "cache": ("redis-cli", "SHUTDOWN", "NOSAVE"),
}


def crash(cli: Cli, component: str) -> None:
    """End a server as a crash does, from inside: the engine has to bring it back by itself."""
    before = cli.data("status")["components"][component]["restarts"]
    cli.run("exec", component, "--", *_CRASHES[component])
    eventually(lambda: cli.data("status")["components"][component]["restarts"] > before)
