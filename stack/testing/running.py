"""Bring a stack up for a run of tests. What deletes it is a process of its own, which outlives a killed pytest."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stack.declaration import load_stack
from stack.errors import StackError
from stack.frozen import dataclass
from stack.settings import Settings
from stack.testing.locking import shared_lock

_ENDS_WITHIN = 180.0


@dataclass(frozen=True)
class RunningStack:
    """An instance that is up. `file`: its stack file; `ports`: where its published ports are on 127.0.0.1.

    `urls`: the same as URLs, without passwords; `secrets`: the folder of the files with these.
    """

    name: str
    file: Path
    engine: str
    urls: Mapping[str, str]
    ports: Mapping[str, int]
    secrets: Path

    def run(self, *words: str) -> Mapping[str, Any]:
        """Run a command of stackctl on it, such as `run("status")`, and return the data that it reports.

        Raises `StackError`, with the code, message and hint of the command.
        """
        return _command(self.file, self.name, self.engine, *words)

    def administer(self, component: str, sql: str) -> None:
        """Run SQL on a PostgreSQL of the stack as its administrator. Raises `StackError`."""
        words = ["shell", component, "--admin", "--write"]
        command = [sys.executable, "-m", "stackctl", *_arguments(self.file, self.name, self.engine), *words]
        ended = subprocess.run(command, input=sql, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise StackError(
                "query-failed",
                f"the administrator of {component} may not: {sql}",
                "see what PostgreSQL says",
                ended.stderr,
            )

    def secret(self, name: str) -> str:
        """Return a secret of the instance, such as `db_password`; empty if it has no such one."""
        path = self.secrets / name
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""


@contextlib.contextmanager
def running(file: Path, name: str, engine: str | None, keep: bool = False) -> Iterator[RunningStack]:
    """Bring the stack of a file up as an instance, which is deleted once no process of this run uses it any more.

    Raises `StackError` if it does not get ready.
    """
    # The lock is given back first: the deletion begins once no process holds it.
    with _deleting(file, name, engine, keep), shared_lock(name):
        stack = load_stack(file)
        listening = [each for each in stack.names if stack.own_workload(each, "container").ports]
        hidden = [each for each in listening if not stack.own_workload(each, "container").published]
        data = _command(file, name, engine, "up", *(word for each in hidden for word in ("--publish", each)))
        ports = {port: number for each in data["components"].values() for port, number in each["ports"].items()}
        state = Settings.read(os.environ, Path.cwd(), file, name, engine).state_root / name
        yield RunningStack(name, file, data["engine"], data["urls"], ports, state / "secrets")


@contextlib.contextmanager
def _deleting(file: Path, name: str, engine: str | None, keep: bool) -> Iterator[None]:
    """Start the process that deletes the instance once its input ends: at the end of the block, or of this process."""
    if keep:
        yield
        return
    command = [sys.executable, "-m", "stack.testing.deletion", name, *_arguments(file, name, engine)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as deletion:
        try:
            yield
        finally:
            # Its input ends here.
            said, _ = deletion.communicate(timeout=_ENDS_WITHIN)
    if deletion.returncode:
        raise StackError(
            "tests-left",
            f"the instance {name} of these tests could not be deleted",
            f"`stackctl --file {shlex.quote(str(file))} --instance {name} reset`",
            said,
        )


def _arguments(file: Path, name: str, engine: str | None) -> list[str]:
    chosen = ["--engine", engine] if engine else []
    return ["--file", str(file), "--instance", name, *chosen]


def _command(file: Path, name: str, engine: str | None, *words: str) -> Mapping[str, Any]:
    command = [sys.executable, "-m", "stackctl", *_arguments(file, name, engine), "--json", *words]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    try:
        answer = json.loads(ended.stdout)
    except ValueError:
        raise StackError("bug", f"stackctl {words[0]} printed no JSON", "run it by hand", ended.stdout) from None
    if answer["error"] is not None:
        error = answer["error"]
        raise StackError(error["code"], error["message"], error["hint"], error.get("output", ""))
    data: Mapping[str, Any] = answer["data"]
    return data
