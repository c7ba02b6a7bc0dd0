"""The SQL files that a database's schema is made by: which there are, and whether they fit what was applied."""

from __future__ import annotations

import hashlib
import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from stack.errors import DeclarationError, StackError

_NAME = re.compile(r"(\d+)[-_].+\.sql", re.IGNORECASE)
# As the first line: what PostgreSQL refuses in a transaction.
NO_TRANSACTION = "-- stackctl: no-transaction"


@dataclass(frozen=True)
class Migration:
    """One file. `checksum` is the SHA-256 of its bytes, in hexadecimal digits."""

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
    """`0012_notes.sql` is number 12."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else -1


def read_migrations(folder: Path, where: str) -> tuple[Migration, ...]:
    """The SQL files of a folder, by their number. `where` is the path of the declaration that names it.

    Raises `DeclarationError` for what is no folder, a file without a number, and two with the same.
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
    """Those that are still to be applied. `applied` has the checksum of each that was, by its name.

    Raises `migration-edited` and `migration-order`. One that was applied and is no longer there is no error: it may be
    another branch's.
    """
    last = max(map(number_of, applied), default=-1)
    for each in there:
        if applied.get(each.name, each.checksum) != each.checksum:
            raise StackError(
                "migration-edited",
                f"{component}: {each.name} was applied, and is another one now; nothing was changed",
                "put back what it was, and write what should be different into a new file",
            )
        if each.name not in applied and each.number < last:
            raise StackError(
                "migration-order",
                f"{component}: {each.name} is new, and comes before one that was applied ({last}); nothing was changed",
                f"give it a number above {last}",
            )
    return tuple(each for each in there if each.name not in applied)
