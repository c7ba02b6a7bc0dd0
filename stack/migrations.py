"""The SQL files of a database's schema: read them, and compare them with those that were applied."""

from __future__ import annotations

import hashlib
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from stack.errors import DeclarationError, StackError
from stack.frozen import dataclass

_NAME = re.compile(r"(\d+)[-_].+\.sql", re.IGNORECASE)
# The first line of a file whose statements PostgreSQL refuses in a transaction.
NO_TRANSACTION = "-- stackctl: no-transaction"


@dataclass(frozen=True)
class Migration:
    """One SQL file. `checksum` is the SHA-256 of its bytes, in hexadecimal digits."""

    name: str
    sql: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()

    @property
    def whole(self) -> bool:
        """Whether it runs in one transaction."""
        first, _, _ = self.sql.removeprefix(BOM_UTF8).partition(b"\n")
        return first.strip() != NO_TRANSACTION.encode()

    @property
    def number(self) -> int:
        return number_of(self.name)


def number_of(name: str) -> int:
    """Return the number of a migration: `0012_notes.sql` is 12; -1 if the name has none."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else -1


def read_migrations(folder: Path, where: str) -> tuple[Migration, ...]:
    """Read the SQL files of a folder, in numeric order. `where` is the path of the field that declares it.

    Raises `DeclarationError` if it is not a folder, a file has no number, or two have the same.
    """
    try:
        files = sorted(folder.iterdir())
        found = sorted(
            (Migration(file.name, file.read_bytes()) for file in files if file.suffix.lower() == ".sql"),
            key=lambda each: each.number,
        )
    except OSError as error:
        raise DeclarationError(where, f"{error.filename or folder}: {error.strerror}") from error
    for each in found:
        if each.number < 0:
            raise DeclarationError(where, f"{each.name} has no number; name it like 0001_what_it_does.sql")
    for each, following in pairwise(found):
        if each.number == following.number:
            raise DeclarationError(where, f"{each.name} and {following.name} have the same number")
    return tuple(found)


def pending(component: str, applied: Mapping[str, str], there: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return the migrations to apply. `applied` has the checksum of each applied one, by name.

    Raises `migration-edited` and `migration-order`. A missing file of an applied migration is not an error: it may be
    on another branch.
    """
    if (error := find_conflict(component, applied, there)) is not None:
        raise error
    return tuple(each for each in there if each.name not in applied)


def find_conflict(component: str, applied: Mapping[str, str], there: Sequence[Migration]) -> StackError | None:
    """Return why the migrations of a database can't be applied: `migration-edited` or `migration-order`."""
    last = max(map(number_of, applied), default=-1)
    for each in there:
        if applied.get(each.name, each.checksum) != each.checksum:
            return StackError(
                "migration-edited",
                f"{component}: {each.name} was edited after it was applied; nothing was changed",
                "restore the file, and write the change into a new one",
            )
        if each.name not in applied and each.number < last:
            return StackError(
                "migration-order",
                f"{component}: {each.name} is new, but numbered below an applied one ({last}); nothing was changed",
                f"give it a number above {last}",
            )
    return None
