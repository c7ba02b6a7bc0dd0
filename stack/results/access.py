"""What the commands report that let a user look into components."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from stack.frozen import dataclass
from stack.results.instances import StandbyStatus

Variables = Mapping[str, str]
"""By name, as `env` reports them."""


@dataclass(frozen=True)
class VariableResult:
    """A variable of a component.

    `value`: its value, with `***` for each secret.
    `secret`: whether it is a secret or has one in it.
    `origin`: where it is from, for people.
    `components`: the components that it is from.
    `parameters`: where each parameter in it is from, by the name of the parameter.
    """

    value: str
    secret: bool
    origin: str
    components: tuple[str, ...]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class VariablesResult:
    """The variables with which the next `up` starts a component.

    `instance`: the instance.
    `component`: the component.
    `variables`: its variables, by name.
    """

    instance: str
    component: str
    variables: Mapping[str, VariableResult]


JsonSchema = Mapping[str, Any]
"""As `schema` reports it."""

Agreement = Literal["agrees", "empty", "behind", "ahead", "differs"]
"""How a key of a cache compares with the value in the database that it is a copy of."""


@dataclass(frozen=True)
class LogEntry:
    """A line that a component wrote.

    `component`: its name.
    `replica`: which of its replicas wrote it; null if it has one.
    `time`: when it was written, if that is known: without Docker, only if the line says it.
    `text`: the line.
    """

    component: str
    replica: int | None
    time: datetime | None
    text: str


@dataclass(frozen=True)
class LogLines:
    """What components wrote.

    `lines`: each line as it is printed; with the component in front unless it is of one alone.
    `entries`: the same, in parts.
    """

    lines: tuple[str, ...]
    entries: tuple[LogEntry, ...]


@dataclass(frozen=True)
class ExecResult:
    """A command that ended.

    `exit_code`: its exit code.
    `stdout`: what it wrote to standard output.
    `stderr`: what it wrote to standard error.
    """

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class OpenResult:
    """The page of a component.

    `component`: its name.
    `url`: where it answers.
    `opened`: whether it was shown in a browser.
    """

    component: str
    url: str
    opened: bool


@dataclass(frozen=True)
class RenderResult:
    """The configuration for the engine.

    `engine`: the engine.
    `configuration`: the file as it is written.
    """

    engine: str
    configuration: str


@dataclass(frozen=True)
class QueryRows:
    """The result of a query.

    `exists`: true.
    `columns`: the names of the columns.
    `rows`: each row: its values as text, null for NULL.
    """

    exists: Literal[True]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True)
class TableRows:
    """The declared table of a database.

    `table`: its name; null if none is declared.
    `exists`: whether the table exists.
    `columns`: the names of its columns.
    `rows`: each row: its values as text, null for NULL.
    `standby`: how its standby follows on another node, and which node is whose; null if it has none.
    """

    table: str | None
    exists: bool
    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    standby: StandbyStatus | None = None


@dataclass(frozen=True)
class CacheKeys:
    """The keys of a cache.

    `keys`: their names.
    """

    keys: tuple[str, ...]


@dataclass(frozen=True)
class CacheEntry:
    """One key of a cache.

    `key`: its name.
    `exists`: whether it is there.
    `kind`: the type of its value, as Redis calls it; `none` if it is not there.
    `value`: its value; an array for every kind but `string`, null if it is not there.
    `ttl`: in seconds, until it expires; null if it does not.
    """

    key: str
    exists: bool
    kind: str
    value: str | tuple[str, ...] | None
    ttl: float | None


@dataclass(frozen=True)
class ComparedEntry(CacheEntry):
    """The declared key of a cache, beside the value in the database that it is a copy of.

    `database`: the value in the database, null if there is none.
    `agreement`: how the two compare; `empty` if the key is not there.
    """

    database: str | None
    agreement: Agreement


InspectedDatabase = QueryRows | TableRows
InspectedCache = CacheKeys | CacheEntry | ComparedEntry
Inspected = InspectedDatabase | InspectedCache
"""What `inspect` reports of one component."""
