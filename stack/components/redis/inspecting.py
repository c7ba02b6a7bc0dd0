"""Show what a cache holds, and whether the database agrees that a key of it is a copy of."""

from __future__ import annotations

import json
from collections.abc import Mapping

from stack.capabilities import Ask, Inspection
from stack.components.postgres import read_rows
from stack.components.redis.declaration import CachedValue, Entry, Redis, read_entry
from stack.encoding import extended
from stack.errors import StackError
from stack.results.access import Agreement, CacheEntry, CacheKeys, ComparedEntry


def inspect(cache: Redis, ask: Ask, key: str | None) -> Inspection:
    """Show the declared key, or `key`, and beside the declared one the value in PostgreSQL that it copies."""
    declared = cache.inspect
    if key is None and declared is None:
        keys = _keys(cache, ask)
        return Inspection(CacheKeys(keys), lambda style: "\n".join(keys) or "(no keys)")
    wanted = key or (declared.key if declared else "")
    entry = _entry(cache, ask, wanted)
    value = tuple(entry.value) if isinstance(entry.value, list) else entry.value
    shown = CacheEntry(wanted, entry.exists, entry.kind, value, entry.ttl)
    text = _entry_text(cache.name, wanted, entry)
    if declared is None or wanted != declared.key:
        return Inspection(shown, lambda style: text)
    source, compared = _compare(declared, ask, entry)
    comparison = _comparison_text(declared, source, compared)
    data = extended(ComparedEntry, shown, database=source, agreement=compared)
    return Inspection(data, lambda style: f"{text}\n{comparison}")


def _entry(cache: Redis, ask: Ask, key: str) -> Entry:
    answer = ask(cache.name, cache.lookup(key), 30)
    try:
        return read_entry(answer)
    except (ValueError, TypeError) as error:
        raise StackError("query-failed", f"{cache.name}: {answer.strip()}", "look at `stackctl logs`") from error


def _keys(cache: Redis, ask: Ask) -> tuple[str, ...]:
    return tuple(sorted(json.loads(ask(cache.name, cache.listing(), 30))[1]))


def _entry_text(name: str, key: str, entry: Entry) -> str:
    if not entry.exists:
        return f"{key}: not in {name}"
    value = entry.value if isinstance(entry.value, str) else json.dumps(entry.value, ensure_ascii=False)
    lives = "never expires" if entry.ttl is None else f"expires in {entry.ttl:.0f} s"
    kind = "" if entry.kind == "string" else f" ({entry.kind})"
    return f"{key}{kind} = {value}  ({lives})"


def _compare(declared: CachedValue, ask: Ask, entry: Entry) -> tuple[str | None, Agreement]:
    """The value in the database, read after the cache: a visit in between can only make the cache look behind."""
    try:
        rows = read_rows(ask(declared.database.name, declared.database.query(declared.query), 30)).rows
    except StackError as error:
        if "does not exist" not in error.message:
            raise
        rows = ()
    source = rows[0][0] if rows else None
    return source, agreement(entry, source)


def agreement(entry: Entry, source: str | None) -> Agreement:
    """`agrees`, `empty` (not cached), `behind`, `ahead` (which must not be), or `differs`."""
    if not entry.exists:
        return "empty"
    if entry.value == source:
        return "agrees"
    if isinstance(entry.value, str) and entry.value.isdecimal() and source is not None and source.isdecimal():
        return "behind" if int(entry.value) < int(source) else "ahead"
    return "differs"


_AGREEMENT: Mapping[Agreement, str] = {
    "agrees": "the cache agrees",
    "empty": "the next read fills the cache",
    "behind": "the cache is behind; the next visit moves it",
    "ahead": "the cache is AHEAD of the database; the next visit corrects it",
    "differs": "the cache holds something else; the next read corrects it",
}


def _comparison_text(declared: CachedValue, source: str | None, compared: Agreement) -> str:
    held = f"{declared.database.name} holds " + ("no row" if source is None else source)
    return f"{held}: {_AGREEMENT[compared]}"
