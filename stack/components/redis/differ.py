"""Compare the keys of two Redis servers; see `stack.differing.Differ`.

Keys are read some at a time while the server serves on: what changes meanwhile is told as it was or as it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from stack.capabilities import Session
from stack.differing import Side, Wanted
from stack.errors import StackError
from stack.frozen import dataclass
from stack.progress import Progress
from stack.report import count
from stack.results.differences import Change, ComponentDifference, ContentDifference, ItemDifference, change_between

if TYPE_CHECKING:
    from stack.components.redis.declaration import Redis

# One script: between two commands a key could change. What has no order is sorted, because each server has its own. A
# key is written in hexadecimal digits, because it may be anything.
_READ = """
local function plain(value)
  if type(value) ~= 'table' then value = tostring(value) return #value .. ':' .. value end
  local parts = {}
  for at, each in ipairs(value) do parts[at] = plain(each) end
  return '[' .. table.concat(parts) .. ']'
end
local read = {
  string = {'GET'}, list = {'LRANGE', 0, -1}, hash = {'HGETALL'}, set = {'SMEMBERS'},
  zset = {'ZRANGE', 0, -1, 'WITHSCORES'}, stream = {'XRANGE', '-', '+'},
}
local page, found = redis.call('SCAN', ARGV[1], 'COUNT', 1000), {}
for _, key in ipairs(page[2]) do
  local kind = redis.call('TYPE', key).ok
  local words = read[kind] or {'DUMP'}
  local value = redis.call(words[1], key, unpack(words, 2))
  if kind == 'hash' then
    local pairs_ = {}
    for at = 1, #value, 2 do pairs_[#pairs_ + 1] = plain({value[at], value[at + 1]}) end
    value = pairs_
  end
  if kind == 'hash' or kind == 'set' then table.sort(value) end
  local name = key:gsub('.', function(letter) return string.format('%02x', letter:byte()) end)
  found[#found + 1] = {name, kind .. ' ' .. redis.sha1hex(plain(value)), redis.call('PEXPIRETIME', key)}
end
return {page[1], found}
"""
_TOLD_EVERY = 50_000


@dataclass(frozen=True)
class Key:
    """What is compared of a key. `value`: a text that stands for its kind and value.

    `expiry`: the milliseconds since the epoch at which it expires, -1 if it does not.
    """

    value: str
    expiry: int = -1


Keys = Mapping[bytes, Key]
"""The keys of a database."""


@dataclass(frozen=True)
class RedisDiffer:
    """The keys of each database of a durable server, with their values and the times at which they expire."""

    redis: Redis
    loads: bool = True

    def compare(self, before: Side, after: Side, wanted: Wanted, progress: Progress) -> ComponentDifference:
        for side in (before, after):
            if side.stored is not None and side.stored.saved.details["target"] != side.access.target:
                problem = "its keys were saved on the other engine, whose server has another format"
                return ComponentDifference(notices=(f"{problem}, and were not compared",))
        one, other = _read(before, progress), _read(after, progress)
        found = (compare_keys(name, one.get(name, {}), other.get(name, {}), wanted.limit) for name in {**one, **other})
        contents = tuple(each for each in found if each.added or each.removed or each.changed)
        return ComponentDifference(contents=contents)


def compare_keys(database: str, before: Keys, after: Keys, limit: int) -> ContentDifference:
    """Count the keys of a database that differ, and name the first of them. Pure."""
    different = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    changes = [(key, change_between(before.get(key), after.get(key))) for key in different]
    counts = Counter[Change](change for _, change in changes)
    items = tuple(
        ItemDifference(
            change, {"key": key.decode("utf-8", "backslashreplace")}, _parts(before.get(key), after.get(key))
        )
        for key, change in changes[:limit]
    )
    return ContentDifference(database, "", "key", counts["added"], counts["removed"], counts["changed"], items)


def _parts(before: Key | None, after: Key | None) -> tuple[str, ...]:
    """Say what of a key changed that is on both sides."""
    if before is None or after is None:
        return ()
    changed = {"value": before.value != after.value, "expiry": before.expiry != after.expiry}
    return tuple(part for part, differs in changed.items() if differs)


def _read(side: Side, progress: Progress) -> dict[str, Keys]:
    """Read the keys of all databases of a side, by the numbers of the databases."""
    redis = cast("RedisDiffer", side.differ).redis
    with side.access.session(redis.serve(side.access.target)) as session:
        databases = re.findall(r"^db(\d+):", _ask(session, "INFO", "keyspace"), re.MULTILINE)
        return {each: dict(_keys(session, each, progress)) for each in databases}


def _keys(session: Session, database: str, progress: Progress) -> Iterator[tuple[bytes, Key]]:
    cursor, number = "0", 0
    while True:
        cursor, page = json.loads(_ask(session, "--json", "-n", database, "EVAL_RO", _READ, "0", cursor))
        for key, value, expiry in page:
            number += 1
            yield bytes.fromhex(key), Key(value, expiry)
            if number % _TOLD_EVERY == 0:
                progress.states({session.component: f"comparing {count(number, 'key')}"})
        if cursor == "0":
            return


def _ask(session: Session, *words: str) -> str:
    answer = session.run(["redis-cli", "-e", *words], timeout=None)
    if answer.ok:
        return answer.stdout
    name, said = session.component, (answer.stderr or answer.stdout).strip()
    raise StackError("query-failed", f"{name}: its keys can't be read: {said}", f"look at `stackctl logs {name}`")
