"""Tell whether a pid that a daemon names is of this machine."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def is_of(process: int, container: str, proc: Path = PROC) -> bool:
    """Whether a pid is of a container; if not, the daemon is on another machine, or the process is gone."""
    try:
        return container in (proc / str(process) / "cgroup").read_text(encoding="utf-8")
    except OSError:
        return False
