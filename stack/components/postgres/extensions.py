"""Tell which PostgreSQL has an extension: that of a package, that of an image, or none without Docker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stack.capabilities import Programs
from stack.errors import StackError
from stack.workload import Target

# The extensions that come with the extra `contrib`, beside those that a package for every machine has.
# fmt: off
CONTRIB = frozenset((
    "amcheck", "autoinc", "bloom", "btree_gin", "btree_gist", "citext", "cube", "dblink", "dict_int", "dict_xsyn",
    "earthdistance", "file_fdw", "fuzzystrmatch", "hstore", "insert_username", "intagg", "intarray", "isn", "lo",
    "ltree", "moddatetime", "pageinspect", "pg_buffercache", "pg_freespacemap", "pg_logicalinspect", "pg_prewarm",
    "pg_stat_statements", "pg_surgery", "pg_trgm", "pg_visibility", "pg_walinspect", "pgrowlocks", "pgstattuple",
    "postgres_fdw", "refint", "seg", "tablefunc", "tcn", "tsm_system_rows", "tsm_system_time", "unaccent",
))
# fmt: on
_CONTRIB_MAJOR = 18
# Images that have an extension which neither the official one has nor a package.
_IMAGES = {
    "vector": "pgvector/pgvector:pg{major}",
    "postgis": "postgis/postgis:{major}-3.6",
    "timescaledb": "timescale/timescaledb:latest-pg{major}",
}
# What the packages were built without.
_NEEDS = {"pgcrypto": "OpenSSL", "sslinfo": "OpenSSL", "uuid-ossp": "a library for UUIDs", "xml2": "libxml2"}
# Where PostgreSQL looks, beside the folder of its programs, if it was built to be moved.
_PLACES = ("share/postgresql/extension", "share/extension")


def missing_extension(name: str, extensions: Sequence[str], programs: Programs) -> StackError | None:
    """Return the error of the first extension that a PostgreSQL of this machine does not have.

    None if it has all of them, or if it can't be seen before the server runs.
    """
    there = _available(programs.folder)
    missing = [each for each in extensions if there and each not in there]
    if not missing:
        return None
    return extension_missing(name, missing[0], there, programs.major or 0, "process")


def extension_missing(name: str, extension: str, there: Sequence[str], major: int, target: Target) -> StackError:
    """Return the error of an extension that a server does not have, and of those that it has."""
    return StackError(
        "extension-missing",
        f"{name}: this PostgreSQL has no extension {extension}; it has {', '.join(there) or 'none'}",
        _remedy(name, extension, there, major, target),
    )


def _available(folder: Path) -> list[str]:
    for place in _PLACES:
        if (extensions := folder.parent / place).is_dir():
            return sorted(file.stem for file in extensions.glob("*.control"))
    return []


def _remedy(name: str, extension: str, there: Sequence[str], major: int, target: Target) -> str:
    """Say which PostgreSQL has an extension that this one lacks, and what to type for it."""
    image = _IMAGES.get(extension, "IMAGE").format(major=major)
    declared = f'an image that has it, `Postgres({name!r}, image="{image}", version={major})`'
    if target == "container":
        return f"declare {declared}, or name one of these in `extensions` of {name}"
    docker = f"on Docker (--engine compose){f' with {declared}' if extension in _IMAGES else ''}"
    system = "with a PostgreSQL of this machine that has it (--use-system-binaries)"
    others = f"run it {docker}, or {system}"
    if extension in CONTRIB and major == _CONTRIB_MAJOR:
        return f"install it with `pip install 'stackctl[contrib]'`, and type `stackctl up` again; or {others}"
    if extension in _NEEDS:
        return f"the packages are built without {_NEEDS[extension]}, which it needs: {others}"
    return f"{others}, or name one of these in `extensions` of {name}"
