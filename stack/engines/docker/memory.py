"""Measure the memory of a container: read from the kernel in a millisecond; `docker stats` takes two seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stack.engines.docker import api

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_TIMEOUT = 10.0


def of_container(process: int, container: str, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int | None:
    """Return the bytes that a container uses, without droppable caches, as `docker stats` counts; `process` is its pid.

    None if they can't be known: the daemon is on another machine, and the pid is that of an unrelated process here.
    """
    for folder, usage, droppable in _groups(process, container, proc, cgroups):
        try:
            used = int((folder / usage).read_text(encoding="ascii"))
            details = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            return max(0, used - int(details.get(droppable, 0)))
        except (OSError, ValueError):
            continue
    return None


def of_remote_containers(containers: Sequence[str], host: str) -> Mapping[str, int]:
    """Return the same for containers on a server, whose daemon tells it without the wait of `docker stats`."""
    daemon = api.behind(host)
    if daemon is None or not containers:
        return {}
    paths = [f"/containers/{container}/stats" for container in containers]
    answers = daemon.get_each(paths, _TIMEOUT, {"stream": "false", "one-shot": "true"})
    told = {
        container: (answer.found or {}) if answer else {} for container, answer in zip(containers, answers, strict=True)
    }
    used = {container: _told(each.get("memory_stats") or {}) for container, each in told.items()}
    return {container: amount for container, amount in used.items() if amount is not None}


def _told(memory: Mapping[str, Any]) -> int | None:
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    droppable = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, int(memory["usage"]) - int(droppable))


def _groups(process: int, container: str, proc: Path, cgroups: Path) -> list[tuple[Path, str, str]]:
    """List the directories that may account for the memory, with the file names of each cgroup version."""
    try:
        lines = (proc / str(process) / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if container not in path:
            continue
        if not controllers:
            found.append((cgroups / path.lstrip("/"), "memory.current", "inactive_file"))
        elif "memory" in controllers.split(","):
            found.append((cgroups / "memory" / path.lstrip("/"), "memory.usage_in_bytes", "total_inactive_file"))
    return found
