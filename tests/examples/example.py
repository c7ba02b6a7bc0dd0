"""A copy of an example: where it is reached, and the commands of its README."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stack.declaration import load_stack
from stack.instance import default_ports
from stack.workload import PortId
from tests.cli import ROOT, Cli
from tests.ports import own_port

_UP = "stackctl up"


@dataclass
class Example(Cli):
    """The command line for an example, with a port of its own for each one that it publishes."""

    @cached_property
    def ports(self) -> Mapping[PortId, int]:
        first, *others = self._declared_ports
        return {first: self.port, **{port: own_port() for port in others}}

    @cached_property
    def _declared_ports(self) -> Mapping[PortId, int]:
        return default_ports(load_stack(self.folder / "stackfile.py"))

    def up(self, *words: str) -> dict[str, Any]:
        ports = (f"--port={port.typed}={number}" for port, number in self.ports.items())
        return self.data("up", *ports, *words)

    def url_of(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[PortId(port)]}"

    def install(self) -> None:
        """Run the commands that install what its programs need on a machine without Docker."""
        *_, last = (block for block in self._blocks if _UP in block)
        self.bash(last.replace(_UP, ""))

    @property
    def commands(self) -> list[str]:
        """The blocks of commands of its README for when it is up."""
        return [block for block in self._blocks if _UP not in block]

    @property
    def _blocks(self) -> list[str]:
        text = (self.folder / "README.md").read_text(encoding="utf-8")
        return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    def bash(self, script: str) -> str:
        """Run commands as a user does, with the ports of this instance; return what they print."""
        for port, declared in self._declared_ports.items():
            script = script.replace(f"http://localhost:{declared}", self.url_of(port))
        path = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"
        ended = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.whole_environment | {"PATH": path, "STACKCTL_INSTANCE": self.instance},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def remains(self) -> list[str]:
        """Name the containers, volumes, networks, images, processes and folders that are left of this instance."""
        if self.engine == "compose":
            listings = ("ps --all --format {{.Names}}", "volume ls --format {{.Name}}",
                        "network ls --format {{.Name}}", "images --format {{.Repository}}")  # fmt: skip
            listed = (subprocess.check_output(["docker", *words.split()], text=True) for words in listings)
            left = [line for lines in listed for line in lines.splitlines() if self.instance in line]
        else:
            left = [str(entry) for entry in Path("/proc").glob("[0-9]*") if self.instance in _environment(entry)]
        return [*left, str(self.state)] if self.state.exists() else left


def _environment(process: Path) -> str:
    try:
        return (process / "environ").read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""
