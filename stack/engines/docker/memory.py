"""Measure the memory of a container: read from the kernel in a millisecond; `docker stats` takes two seconds."""

from __future__ import annotations

from pathlib import Path

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


def of_remote_container(container: str, host: str) -> int | None:
    """Return the same for a container on a server, whose daemon tells it without the wait of `docker stats`."""
    daemon = api.behind(host)
    found = (
        daemon.get(f"/containers/{container}/stats", _TIMEOUT, {"stream": "false", "one-shot": "true"})
        if daemon
        else None
    )
    told = (found.found or {}).get("memory_stats") or {} if found is not None else {}
    if "usage" not in told:
        return None
    details = told.get("stats") or {}
    droppable = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, int(told["usage"]) - int(droppable))


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
