"""A real instance of a stack, brought up with the command line as a user does, and deleted in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.ports import any_free

ROOT = Path(__file__).parents[1]
STACKCTL = (sys.executable, str(ROOT / "stackctl.py"))
_LIMIT = 600.0


class CommandFailed(Exception):
    """A command of stackctl, with what it wrote."""


@dataclass(frozen=True)
class Instance:
    """A stack that is up. `ports` has that of each web app; `state` is where stackctl keeps it."""

    options: tuple[str, ...]
    state: Path
    ports: Mapping[str, int]

    def up(self) -> None:
        """Start it with its ports, also after a reset."""
        self.stackctl("up", *(f"--port={app}={port}" for app, port in self.ports.items()))

    def exec(self, component: str, *command: str, text: str = "") -> str:
        """Run a command in a component and return what it wrote."""
        return self.stackctl("exec", component, "--", *command, text=text)

    def stackctl(self, *words: str, text: str = "") -> str:
        """Run a command of stackctl on it and return what it wrote."""
        return _stackctl(self.state, [*self.options, *words], text)


@contextmanager
def running(file: str, engine: str, apps: Sequence[str]) -> Iterator[Instance]:
    """The stack of a file of this project. `apps` are its web apps."""
    name = f"bench-{uuid.uuid4().hex[:6]}"
    ports = {app: any_free() for app in apps}
    options = ("--file", str(ROOT / file), "--instance", name, "--engine", engine)
    with tempfile.TemporaryDirectory(prefix="stackctl-bench-") as folder:
        state = Path(folder) / "state"
        try:
            instance = Instance(options, state, ports)
            instance.up()
            yield instance
        finally:
            _stackctl(state, [*options, "reset", "--yes", "--no-snapshot"])


def _stackctl(state: Path, arguments: Sequence[str], text: str = "") -> str:
    done = subprocess.run(
        [*STACKCTL, *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
        env=os.environ | {"STACKCTL_STATE": str(state)},
    )
    if done.returncode:
        raise CommandFailed(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
