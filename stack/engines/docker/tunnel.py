"""Bring the published ports of an instance on a server to this machine: by a process of ssh in the background.

It outlives the command that opened it, because the instance does: what `up` printed as a URL answers until `stop` or
`down`. A note in the state says where it is controlled, and one beside that, should the state be lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from stack import files
from stack.engines import process
from stack.engines.docker import connection, ssh
from stack.engines.docker.ssh import Server
from stack.frozen import dataclass
from stack.state import State

_NOTE = "tunnel.json"
_LOG = "tunnel.log"
_ENDED_WITHIN = 10.0
_ANSWERED_WITHIN = 30.0


@dataclass(frozen=True)
class Tunnel:
    """The tunnel of an instance, see `stack.engines.base.Tunnel`; `wanted` are the ports of its declaration.

    `address`: that of the server on which it publishes them.
    """

    host: str
    project: str
    address: str
    state: Path
    wanted: Sequence[int]

    @property
    def ports(self) -> frozenset[int]:
        control, ports = self._noted
        return ports if control is not None and _answers(control) else frozenset()

    def open(self) -> None:
        """Open it with the ports that are wanted, unless it is open with these. Raises what `ssh.failed` gives."""
        if self.ports == frozenset(self.wanted):
            return
        self.close()
        if not self.wanted:
            return
        server, control = Server.parse(self.host), self._control
        with contextlib.suppress(FileNotFoundError):
            control.unlink()
        note = json.dumps({"control": str(control), "ports": [*self.wanted]}) + "\n"
        State(self.state).write(_NOTE, note)
        files.write_text(self._spare_note, note)
        log = self.state / _LOG
        connection.run_ssh(server, ssh.open_master(server, control, log, None), log)
        forwarding = ssh.forward_ports(server, control, self.address, self.wanted)
        answer = process.run(forwarding, os.environ, _ANSWERED_WITHIN)
        if not answer.ok:
            said = log.read_text(encoding="utf-8", errors="replace")
            self.close()
            raise ssh.failed(server, f"{said}{answer.stderr}")

    def close(self) -> None:
        """End it, if it is open."""
        control, _ = self._noted
        if control is None:
            return
        if _answers(control):
            process.run(ssh.end(Server.parse(self.host), control), os.environ, _ENDED_WITHIN)
        for path in (self.state / _NOTE, self.state / _LOG, self._spare_note):
            path.unlink(missing_ok=True)

    @property
    def _control(self) -> Path:
        return (
            connection.folder()
            / f"{connection.key(Server.parse(self.host))}.{hashlib.sha256(self.project.encode()).hexdigest()[:12]}"
        )

    @property
    def _spare_note(self) -> Path:
        return self._control.with_suffix(f"{self._control.suffix}.json")

    @property
    def _noted(self) -> tuple[Path | None, frozenset[int]]:
        """Return where the one that was opened last is controlled, and its ports."""
        for path in (self.state / _NOTE, self._spare_note):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                note = json.loads(path.read_text(encoding="utf-8"))
                return Path(note["control"]), frozenset(map(int, note["ports"]))
        return None, frozenset()


def _answers(control: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(control))
        except OSError:
            return False
    return True
