"""A project of Docker Compose from the file that somebody wrote by hand, without stackctl."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stack.ports import any_free

_FILE = Path(__file__).with_name("compose.yaml")


@dataclass(frozen=True)
class ComposeProject:
    """`variables` is all that the file wants to know."""

    name: str
    variables: Mapping[str, str]
    file: Path = _FILE

    def command(self, *words: str) -> tuple[str, ...]:
        """The words of a command of Docker Compose on it."""
        return ("docker", "compose", "-p", self.name, "-f", str(self.file), *words)

    def run(self, *words: str) -> None:
        """Run a command of Docker Compose on it."""
        environment = os.environ | self.variables
        subprocess.run(self.command(*words), check=True, capture_output=True, timeout=600, env=environment)

    def noting(self, note: str) -> ComposeProject:
        """The same with another value of the variable of its app."""
        return replace(self, variables={**self.variables, "BENCH_NOTE": note})


@contextmanager
def compose_project() -> Iterator[ComposeProject]:
    """A project whose images are there and that is down; with all that it left deleted in the end."""
    with tempfile.TemporaryDirectory(prefix="stackctl-bench-") as folder:
        secret = Path(folder) / "password"
        secret.write_text(uuid.uuid4().hex, encoding="utf-8")
        Path(folder).chmod(0o755)  # another user reads the file in the container
        variables = {"BENCH_PORT": str(any_free()), "BENCH_PASSWORD_FILE": str(secret)}
        project = ComposeProject(f"bench-{uuid.uuid4().hex[:6]}", variables)
        try:
            project.run("build")
            yield project
        finally:
            project.run("down", "--volumes", "--rmi", "local", "--timeout", "5")
