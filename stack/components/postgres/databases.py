"""Compare a database on two servers: what is declared in it, and the rows of its tables.

Tables are compared by sums first, and then only their parts whose sums differ, row by row in the order of their keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

from stack.components.postgres.catalog import WITH_PARTS, read_schema
from stack.components.postgres.compared import (
    Shape,
    count_rows,
    read_digests,
    read_entries,
    read_shapes,
    read_sums,
    read_values,
)
from stack.components.postgres.content import Session
from stack.controls import visible
from stack.differing import Wanted
from stack.frozen import dataclass
from stack.merging import Entry, differences
from stack.progress import Progress
from stack.report import count
from stack.results.differences import Change, ContentDifference, ItemDifference, SchemaDifference, change_between

Answer = TypeVar("Answer")
_TOLD_EVERY = 50_000
# To compare a smaller table takes no time to speak of.
_LARGE = 50 * 10**6


@dataclass(frozen=True)
class Pair:
    """A database of a component on both sides, each in a transaction.

    `stored`: one side is a snapshot, whose materialized views were filled when it was loaded.
    """

    component: str
    name: str
    encoding: str
    before: Session
    after: Session
    stored: bool = False

    def ask(self, before: Callable[[Session], Answer], after: Callable[[Session], Answer]) -> tuple[Answer, Answer]:
        """Ask both servers at the same time."""
        with ThreadPoolExecutor(max_workers=1) as asking:
            other = asking.submit(after, self.after)
            try:
                return before(self.before), other.result()
            except BaseException:
                self.after.abandon()
                raise


def compare_schema(pair: Pair) -> Iterator[SchemaDifference]:
    """Tell of what is declared in a database how it differs. What goes with a table that one side lacks is left out."""
    before, after = pair.ask(read_schema, read_schema)
    tables = [{name for kind, name in schema if kind in WITH_PARTS} for schema in (before, after)]
    for kind, name in sorted({*before, *after}):
        was, now = before.get((kind, name)), after.get((kind, name))
        parent = next(each.parent for each in (was, now) if each is not None)
        if was != now and (parent is None or all(parent in names for names in tables)):
            definitions = [None if each is None else each.definition for each in (was, now)]
            yield SchemaDifference(pair.name, kind, name, change_between(was, now), *definitions)


def compare_rows(pair: Pair, wanted: Wanted, progress: Progress) -> Iterator[ContentDifference]:
    """Tell of each table whose rows differ how they do."""
    for session in (pair.before, pair.after):
        if pair.encoding != "SQL_ASCII":
            session.ask("SET client_encoding = 'UTF8'; SELECT 1;\n")
    before, after = pair.ask(*[partial(read_shapes, derived=not pair.stored)] * 2)
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if max(each.bytes for each in (one, other) if each is not None) >= _LARGE:
            progress.states({pair.component: f"comparing {visible(name)}"})
        if one is not None and other is not None:
            common = one.common(other)
            found = _Table(pair, common, replace(common, only=other.only), wanted, progress).compare()
        else:
            gone = 0 if one is None else count_rows(pair.before, one)
            come = 0 if other is None else count_rows(pair.after, other)
            found = ContentDifference(pair.name, name, "row", come, gone, 0)
        if found.added or found.removed or found.changed:
            yield found


@dataclass(frozen=True)
class _Table:
    """A table on both sides, with the columns and keys that both have."""

    pair: Pair
    before: Shape
    after: Shape
    wanted: Wanted
    progress: Progress

    def compare(self) -> ContentDifference:
        """Count the rows that differ, and tell of the first of them."""
        ones, others = self.pair.ask(lambda at: read_sums(at, self.before), lambda at: read_sums(at, self.after))
        parts = [part for part in {**ones, **others} if ones.get(part) != others.get(part)]
        counts, first = Counter[Change](), list[tuple[Entry | None, Entry | None]]()
        for one, other in self._different(parts) if parts else ():
            for change, amount in self._changes(one, other):
                counts[change] += amount
            if len(first) < self.wanted.limit and (self.before.key or self.wanted.values):
                first.append((one, other))
        # Only now are the servers done with that.
        items = tuple(self._item(one, other) for one, other in first)
        amounts = (counts["added"], counts["removed"], counts["changed"])
        return ContentDifference(self.pair.name, self.before.name, "row", *amounts, items)

    def _different(self, parts: list[str]) -> Iterator[tuple[Entry | None, Entry | None]]:
        before = read_entries(self.pair.before, self.before, parts, self.pair.encoding)
        after = read_entries(self.pair.after, self.after, parts, self.pair.encoding)
        return differences(self._told(before), after)

    def _told(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the rows, and tell of their number now and then."""
        doing = f"comparing {visible(self.before.name)}"
        for number, entry in enumerate(entries, 1):
            if number % _TOLD_EVERY == 0:
                self.progress.states({self.pair.component: f"{doing}: {count(number, 'row')}"})
            yield entry

    def _changes(self, one: Entry | None, other: Entry | None) -> Iterator[tuple[Change, int]]:
        """Give what happened to how many rows."""
        if self.before.key:
            yield change_between(one, other), 1
        else:
            # Of rows without a key that are the same, the number stands in the token.
            more = int(other.token if other else 0) - int(one.token if one else 0)
            yield "added" if more > 0 else "removed", abs(more)

    def _item(self, one: Entry | None, other: Entry | None) -> ItemDifference:
        """Ask both servers for what is told of a row that differs."""
        known = one or other
        assert known is not None  # noqa: S101 - it is on one side at least
        key = dict(zip((column.name for column in self.before.key), map(_text, known.key), strict=False))
        names = [column.name for column in self.before.columns]
        changed = list[str]()
        if not self.before.key:
            # It is there on both sides, in another number.
            ((change, _),) = self._changes(one, other)
            one, other = (None, other) if change == "added" else (one, None)
        elif one is not None and other is not None:
            was, now = (
                read_digests(self.pair.before, self.before, one),
                read_digests(self.pair.after, self.after, other),
            )
            changed = names = [name for name, *values in zip(names, was, now, strict=True) if values[0] != values[1]]
        before, after = (
            read_values(at, shape, entry, names) if entry is not None and self.wanted.values else None
            for at, shape, entry in ((self.pair.before, self.before, one), (self.pair.after, self.after, other))
        )
        return ItemDifference(change_between(one, other), key, tuple(changed), before, after)


def _text(part: int | bytes) -> str:
    return str(part) if isinstance(part, int) else part.decode("utf-8", "replace")
