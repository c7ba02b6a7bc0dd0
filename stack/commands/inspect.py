"""`stackctl inspect`: what PostgreSQL holds, what Redis holds, and whether they agree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from stack.components.postgres import Postgres, Rows, read_rows
from stack.components.redis import CachedValue, Entry, Redis, read_entry
from stack.errors import StackError, UsageError
from stack.instance import Instance
from stack.model import Component
from stack.report import Report, count
from stack.settings import Settings
from stack.style import BOLD, Column, Style, table, width_of
from stack.workflow.opening import Opened, find_component, look, require_running

Look = Callable[[Style], str]
Kind = TypeVar("Kind", bound=Component)


def inspect(settings: Settings) -> Report:
    """Every database and every cache of the stack."""
    opened = look(settings)
    parts = [_database(opened, part, None) for part in opened.instance.stack if isinstance(part, Postgres)]
    parts += [_cache(opened, part, None) for part in opened.instance.stack if isinstance(part, Redis)]
    data = {name: part for name, _, part in parts}

    def text(style: Style) -> str:
        return "\n\n".join(f"{style.paint(name, BOLD)}\n{look(style)}" for name, look, _ in parts)

    return Report.drawn("inspect", text, data, verbatim=True)


def inspect_db(settings: Settings, name: str | None = None, query: str | None = None) -> Report:
    """The rows of the declared table, or of `query`, read with psql beside the server."""
    opened = look(settings)
    _, text, data = _database(opened, pick(opened.instance, Postgres, name), query)
    return Report.drawn("inspect db", text, data, verbatim=True)


def inspect_cache(settings: Settings, name: str | None = None, key: str | None = None) -> Report:
    """The declared key, or `key`, and beside the declared one the value in PostgreSQL that it copies."""
    opened = look(settings)
    _, text, data = _cache(opened, pick(opened.instance, Redis, name), key)
    return Report.drawn("inspect cache", text, data, verbatim=True)


def pick(instance: Instance, kind: type[Kind], name: str | None) -> Kind:
    """The component that is meant: the one named, else the only one of its kind."""
    if name is not None:
        component = find_component(instance, name)
        if not isinstance(component, kind):
            raise UsageError(f"{name!r} is a {component.role}", "name another component, or leave the name out")
        return component
    found = [component for component in instance.stack if isinstance(component, kind)]
    if len(found) != 1:
        names = ", ".join(component.name for component in found) or "none"
        raise UsageError(f"which {kind.__name__}? The stack has: {names}", "write its name after the command")
    return found[0]


def _database(opened: Opened, database: Postgres, query: str | None) -> tuple[str, Look, dict[str, Any]]:
    rows = _ask_database(opened, database, query)
    if rows is None:
        missing = f"the table {database.inspect} does not exist yet"
        data: dict[str, Any] = {"table": database.inspect, "exists": False, "columns": [], "rows": []}
        return database.name, lambda style: missing, data
    data = {"exists": True, "columns": list(rows.columns), "rows": [list(row) for row in rows.rows]}
    if query is None:
        data = {"table": database.inspect} | data
    return database.name, lambda style: _rows_text(rows, style), data


def _ask_database(opened: Opened, database: Postgres, query: str | None) -> Rows | None:
    """None when the declared table does not exist; what a user asked for has to."""
    sql = query or database.inspection()
    try:
        return _query(opened, database, sql, limit=None if query else 30)
    except StackError as error:
        if query is None and database.inspect and f'relation "{database.inspect}" does not exist' in error.message:
            return None
        raise


def _query(opened: Opened, database: Postgres, sql: str, limit: float | None = 30) -> Rows:
    answer = _run(opened, database, database.query(sql), limit)
    return read_rows(answer)


def _run(opened: Opened, component: Component, command: Sequence[str], limit: float | None = 30) -> str:
    """What a command in a component writes. A failure is worth the question why only after it."""
    answer = opened.engine.session(component.name).run(command, limit)
    if answer.ok:
        return answer.stdout
    require_running(opened.instance, opened.engine.observe(), component.name)
    said = (answer.stderr or answer.stdout).strip()
    raise StackError(
        "query-failed",
        f"{component.name}: {said}",
        f"try it by hand: `stackctl exec {component.name} -- {command[0]}`",
    )


def _rows_text(rows: Rows, style: Style) -> str:
    if not rows.columns:
        return "(done, no rows)"
    cells = [[_cell(value) for value in row] for row in rows.rows]
    columns = [Column(head, _is_number(each), least=4) for head, *each in zip(rows.columns, *cells, strict=True)]
    widest = max(map(width_of, table(columns, cells).split("\n")))
    note = "; … stands for what is too wide, --json has it" if style.width and widest > style.width else ""
    return f"{table(columns, cells, style, rule=True)}\n({count(len(rows.rows), 'row')}{note})"


def _is_number(column: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?|NULL", cell) for cell in column) and bool(set(column) - {"NULL"})


def _cell(value: str | None) -> str:
    return "NULL" if value is None else value.replace("\n", "\\n")


def _cache(opened: Opened, cache: Redis, key: str | None) -> tuple[str, Look, dict[str, Any]]:
    declared = cache.inspect
    if key is None and declared is None:
        keys, listed = _keys(opened, cache)
        return cache.name, lambda style: keys, listed
    wanted = key or (declared.key if declared else "")
    entry = _entry(opened, cache, wanted)
    data: dict[str, Any] = {"key": wanted, "exists": entry.exists, **asdict(entry)}
    lines = [_entry_text(wanted, entry)]
    if declared is not None and wanted == declared.key:
        source, compared = _compare(opened, declared, entry)
        data |= {"database": source, "agreement": compared}
        lines.append(_comparison_text(declared, source, compared))
    return cache.name, lambda style: "\n".join(lines), data


def _entry(opened: Opened, cache: Redis, key: str) -> Entry:
    answer = _run(opened, cache, cache.lookup(key))
    try:
        return read_entry(answer)
    except (ValueError, TypeError) as error:
        raise StackError("query-failed", f"{cache.name}: {answer.strip()}", "look at `stackctl logs`") from error


def _keys(opened: Opened, cache: Redis) -> tuple[str, dict[str, Any]]:
    keys = sorted(json.loads(_run(opened, cache, cache.listing()))[1])
    return "\n".join(keys) or "(no keys)", {"keys": keys}


def _entry_text(key: str, entry: Entry) -> str:
    if not entry.exists:
        return f"{key}: not in the cache"
    value = entry.value if isinstance(entry.value, str) else json.dumps(entry.value, ensure_ascii=False)
    lives = "never expires" if entry.ttl is None else f"expires in {entry.ttl:.0f} s"
    kind = "" if entry.kind == "string" else f" ({entry.kind})"
    return f"{key}{kind} = {value}  ({lives})"


def _compare(opened: Opened, declared: CachedValue, entry: Entry) -> tuple[str | None, str]:
    """The value in the database, read after the cache: a visit in between can only make the cache look behind."""
    try:
        rows = _query(opened, declared.database, declared.query).rows
    except StackError as error:
        if "does not exist" not in error.message:
            raise
        rows = ()
    source = rows[0][0] if rows else None
    return source, agreement(entry, source)


def agreement(entry: Entry, source: str | None) -> str:
    """`agrees`, `empty` (not cached), `behind`, `ahead` (which must not be), or `differs`."""
    if not entry.exists:
        return "empty"
    if entry.value == source:
        return "agrees"
    if isinstance(entry.value, str) and entry.value.isdecimal() and source is not None and source.isdecimal():
        return "behind" if int(entry.value) < int(source) else "ahead"
    return "differs"


_AGREEMENT = {
    "agrees": "the cache agrees",
    "empty": "the next read fills the cache",
    "behind": "the cache is behind; the next visit moves it",
    "ahead": "the cache is AHEAD of the database; the next visit corrects it",
    "differs": "the cache holds something else; the next read corrects it",
}


def _comparison_text(declared: CachedValue, source: str | None, compared: str) -> str:
    held = f"{declared.database.name} holds " + ("no row" if source is None else source)
    return f"{held}: {_AGREEMENT[compared]}"
