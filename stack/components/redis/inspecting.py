"""Show what a cache holds, and whether the database agrees that a key of it is a copy of."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from stack.capabilities import Ask, Inspection
from stack.components.postgres import read_rows
from stack.components.redis.declaration import CachedValue, Entry, Redis, read_entry
from stack.errors import StackError


def inspect(cache: Redis, ask: Ask, key: str | None) -> Inspection:
    """Show the declared key, or `key`, and beside the declared one the value in PostgreSQL that it copies."""
    declared = cache.inspect
    if key is None and declared is None:
        keys, listed = _keys(cache, ask)
        return Inspection(listed, lambda style: keys)
    wanted = key or (declared.key if declared else "")
    entry = _entry(cache, ask, wanted)
    data: dict[str, Any] = {"key": wanted, "exists": entry.exists, **asdict(entry)}
    lines = [_entry_text(wanted, entry)]
    if declared is not None and wanted == declared.key:
        source, compared = _compare(declared, ask, entry)
        data |= {"database": source, "agreement": compared}
        lines.append(_comparison_text(declared, source, compared))
    return Inspection(data, lambda style: "\n".join(lines))


def _entry(cache: Redis, ask: Ask, key: str) -> Entry:
    answer = ask(cache.name, cache.lookup(key), 30)
    try:
        return read_entry(answer)
    except (ValueError, TypeError) as error:
        raise StackError("query-failed", f"{cache.name}: {answer.strip()}", "look at `stackctl logs`") from error


def _keys(cache: Redis, ask: Ask) -> tuple[str, dict[str, Any]]:
    keys = sorted(json.loads(ask(cache.name, cache.listing(), 30))[1])
    return "\n".join(keys) or "(no keys)", {"keys": keys}


def _entry_text(key: str, entry: Entry) -> str:
    if not entry.exists:
        return f"{key}: not in the cache"
    value = entry.value if isinstance(entry.value, str) else json.dumps(entry.value, ensure_ascii=False)
    lives = "never expires" if entry.ttl is None else f"expires in {entry.ttl:.0f} s"
    kind = "" if entry.kind == "string" else f" ({entry.kind})"
    return f"{key}{kind} = {value}  ({lives})"


def _compare(declared: CachedValue, ask: Ask, entry: Entry) -> tuple[str | None, str]:
    """The value in the database, read after the cache: a visit in between can only make the cache look behind."""
    try:
        rows = read_rows(ask(declared.database.name, declared.database.query(declared.query), 30)).rows
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
