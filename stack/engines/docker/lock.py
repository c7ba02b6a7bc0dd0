"""Lock an instance on the daemon of its server, so that two machines never change it at once.

The lock is a container that never runs: the daemon gives its name to one alone. Its labels say which command has it. As
a sign of life the command changes a number of it again and again, its CPU shares, which mean nothing to what does not
run. A lock that shows none is taken over: one whose command has ended here at once, any other after a while. A command
that finds its lock gone ends as one does whose connection was cut.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from stack.engines.docker import arguments, client, connection
from stack.engines.docker.empty_image import make_empty_image
from stack.engines.docker.objects import READ_TIMEOUT, inspect
from stack.errors import StackError
from stack.frozen import dataclass
from stack.processes import describe
from stack.progress import Progress

IMAGE = "stackctl-lock:latest"
LABEL_OWNER = "stackctl.lock"
_TIMEOUT = 60.0
_INTERVAL = 0.5
# A command that waits longer than this says so.
_NOTICE = 1.0
SIGN_EVERY = 5.0
DEAD_AFTER = 30.0
# Docker takes from 2 to 262144.
_SIGNS = range(2, 1000)


@dataclass(frozen=True)
class Owner:
    """The command that has a lock: its process on which machine, `id` of that machine, and since when by its clock."""

    machine: str
    id: str
    process: int
    since: float
    command: str

    @classmethod
    def this_process(cls) -> Owner:
        described = describe(os.getpid(), time.time()) or "stackctl"
        machine = f"{getpass.getuser()}@{platform.node()}"
        return cls(machine, f"{uuid.getnode():x}", os.getpid(), time.time(), described)

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> Owner | None:
        """Return who has it by its label; None for a label that makes no sense."""
        try:
            return cls(**json.loads(container["Config"]["Labels"][LABEL_OWNER]))
        except (KeyError, ValueError, TypeError):
            return None

    @property
    def ended(self) -> bool:
        """Whether it was a process of this machine that is no more."""
        return self.id == f"{uuid.getnode():x}" and describe(self.process, self.since) is None

    def __str__(self) -> str:
        return f"{self.command} of {self.machine}, since {datetime.fromtimestamp(self.since):%H:%M:%S},"


class _Signs:
    """Whether a lock showed a sign of life lately, as far as one has looked."""

    def __init__(self) -> None:
        self._seen: tuple[str, int] | None = None
        self._since = 0.0

    def stopped(self, container: Mapping[str, Any]) -> bool:
        """As of this look."""
        now = (str(container["Id"]), int(container["HostConfig"]["CpuShares"]))
        if now != self._seen:
            self._seen, self._since = now, time.monotonic()
        return time.monotonic() - self._since >= DEAD_AFTER


@contextlib.contextmanager
def locked(host: str, project: str, progress: Progress | None = None) -> Iterator[None]:
    """Hold the lock of a project on a server for the block.

    Waits for another command at most a minute, and says for which; then raises `instance-busy`. If the connection is
    cut meanwhile, what the block raises is raised as `connection-lost`.
    """
    container = _acquire(host, f"{project}-lock", progress)
    ended = threading.Event()
    signs = threading.Thread(target=_give_signs, args=(host, container, ended), daemon=True)
    signs.start()
    try:
        yield
    except StackError as error:
        if (lost := client.lost(host)) is not None and lost.code != error.code:
            raise lost from error
        raise
    finally:
        ended.set()
        signs.join()
        # Over a connection that is cut it stays, and shows no sign of life.
        with contextlib.suppress(StackError):
            client.run(arguments.remove_containers([container]), READ_TIMEOUT, host=host)


def remove_image(host: str) -> None:
    """Remove what locks are made of, unless there is one."""
    with contextlib.suppress(StackError):
        client.run(["image", "rm", IMAGE], READ_TIMEOUT, host=host)


def _acquire(host: str, name: str, progress: Progress | None) -> str:
    """Return the id of the container that is the lock, once this command has it."""
    deadline, notice = time.monotonic() + _TIMEOUT, time.monotonic() + _NOTICE
    signs = _Signs()
    while True:
        if (created := _attempt(host, name)) is not None:
            return created
        found = next(iter(inspect(containers=[name], host=host)), None)
        if found is None:
            continue
        owner = Owner.of(found)
        if (owner is not None and owner.ended) or signs.stopped(found):
            # By its id: by now another command may have taken it over.
            client.run(arguments.remove_containers([found["Id"]]), READ_TIMEOUT, host=host)
            continue
        if time.monotonic() >= deadline:
            raise _busy(owner, name)
        if progress is not None and time.monotonic() >= notice:
            progress.step(f"waiting for {owner or 'another command'}")
            progress = None
        threading.Event().wait(_INTERVAL)


def _attempt(host: str, name: str) -> str | None:
    """Create the container; None if there is one of that name."""
    labels = {LABEL_OWNER: json.dumps(asdict(Owner.this_process()))}
    while True:
        answer = client.run(arguments.create_idle_container(name, IMAGE, labels), READ_TIMEOUT, host=host)
        if answer.ok:
            return answer.stdout.strip()
        if "is already in use" in answer.stderr:
            return None
        if "No such image" not in answer.stderr:
            raise client.failed("create", answer.stderr, host)
        make_empty_image(IMAGE, {}, host)


def _give_signs(host: str, container: str, ended: threading.Event) -> None:
    number = 0
    while not ended.wait(SIGN_EVERY):
        number += 1
        share = _SIGNS[number % len(_SIGNS)]
        try:
            answer = client.run(["update", "--cpu-shares", str(share), container], READ_TIMEOUT, host=host)
        except StackError:
            continue
        if "No such container" in answer.stderr:
            connection.give_up(host)
            return


def _busy(owner: Owner | None, name: str) -> StackError:
    return StackError(
        "instance-busy",
        f"{owner or 'another command'} is still changing this instance",
        "wait for it to end, or end it, and run this command again; if that machine is gone, the lock is taken over "
        f"after {DEAD_AFTER:g} s, or remove it on the server: `docker rm {name}`",
    )
