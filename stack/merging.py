"""Compare two streams that are sorted by their keys, in constant memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

Key = tuple[int | bytes, ...]


class Entry(NamedTuple):
    """A row by its key. `token`: the same on both sides for the same content. `place`: where it is found again."""

    key: Key
    token: bytes
    place: bytes = b""


def differences(before: Iterable[Entry], after: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Yield the pairs of entries with the same key that differ, in the order of their keys; None for one that lacks.

    Each side is sorted by its keys, as Python compares them, and has none twice. Raises `ValueError` otherwise.
    """
    ones, others = ascending(before), ascending(after)
    one, other = next(ones, None), next(others, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.key < other.key):
            yield one, None
            one = next(ones, None)
        elif one is None or other.key < one.key:
            yield None, other
            other = next(others, None)
        else:
            if one.token != other.token:
                yield one, other
            one, other = next(ones, None), next(others, None)


def ascending(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries; raise `ValueError` at the first whose key is not greater than the one before."""
    last: Key | None = None
    for entry in entries:
        if last is not None and entry.key <= last:
            raise ValueError("the rows are not in the order of their keys")
        last = entry.key
        yield entry


def counted(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield one of the entries with the same key, which follow each other; its token is how many they are."""
    first, rows = None, 0
    for entry in entries:
        if first is not None and entry.key != first.key:
            yield first._replace(token=b"%d" % rows)
            first, rows = None, 0
        first, rows = first or entry, rows + 1
    if first is not None:
        yield first._replace(token=b"%d" % rows)
