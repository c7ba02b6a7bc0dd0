"""What `diff` reports: how the data and the schema of two instances or snapshots differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from stack.frozen import dataclass

Change = Literal["added", "removed", "changed"]
"""What happened on the way from the first to the second that are compared."""


def change_between(before: object, after: object) -> Change:
    """Tell what happened to what is not the same on both sides; None stands for what is not there."""
    return "added" if before is None else "removed" if after is None else "changed"


@dataclass(frozen=True)
class SchemaDifference:
    """A part of a schema that differs.

    `database`: the database that it is in.
    `kind`: such as `table`, `column`, `index`, `constraint` or `function`.
    `name`: its name, with those of its schema and table.
    `change`: what happened to it; of a table that was added or removed, its parts are not listed.
    `before`: its definition in the first; null if it was added.
    `after`: its definition in the second; null if it was removed.
    """

    database: str
    kind: str
    name: str
    change: Change
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ItemDifference:
    """A row, a key or a file that differs.

    `change`: what happened to it.
    `key`: the values of its key as text, by column; the name of a key; the path of a file. Empty for a row without one.
    `columns`: what of it changed: the columns of a row, `value` or `expiry` of a key; empty unless it changed.
    `before`: with --values, its values in the first as text; of a changed row those that changed. Else null.
    `after`: the same of the second.
    """

    change: Change
    key: Mapping[str, str]
    columns: tuple[str, ...] = ()
    before: Mapping[str, str | None] | None = None
    after: Mapping[str, str | None] | None = None


@dataclass(frozen=True)
class ContentDifference:
    """The rows of a table, the keys of a Redis database, or the files of a volume that differ.

    `group`: the database that the table is in, the number of the database of a Redis, or the name of the volume.
    `name`: the table; empty for keys and files.
    `kind`: what is counted.
    `added`: how many only the second has.
    `removed`: how many only the first has.
    `changed`: how many both have, with another content. Rows of a table without a key are added or removed.
    `items`: the first of them, by key; none of a table that one side lacks, or without a key unless with --values.
    """

    group: str
    name: str
    kind: Literal["row", "key", "file"]
    added: int
    removed: int
    changed: int
    items: tuple[ItemDifference, ...] = ()


@dataclass(frozen=True)
class ComponentDifference:
    """How the data of a component, or of a volume that components share, differs.

    `only`: which side alone has data of it; null if both have.
    `schema`: the parts of its schema that differ.
    `contents`: the tables, databases or volumes whose content differs.
    `notices`: what could not be compared, as text for people.
    """

    only: Literal["before", "after"] | None = None
    schema: tuple[SchemaDifference, ...] = ()
    contents: tuple[ContentDifference, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether it is not the same on both sides, as far as it could be compared."""
        return bool(self.only or self.schema or self.contents)


@dataclass(frozen=True)
class ComparedSide:
    """What is compared.

    `kind`: an instance, or a snapshot.
    `name`: its name.
    """

    kind: Literal["instance", "snapshot"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class DiffResult:
    """How the data and the schema of two instances or snapshots differ.

    `before`: the first, from which changes are told.
    `after`: the second.
    `same`: whether nothing differs.
    `components`: the components, and volumes that components share, that differ or could not be compared whole.
    """

    before: ComparedSide
    after: ComparedSide
    same: bool
    components: Mapping[str, ComponentDifference]
