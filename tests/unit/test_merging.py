"""The comparison of two sorted streams, against the same of two dictionaries."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.merging import Entry, counted, differences

KEYS = st.tuples(st.integers(-3, 3), st.binary(max_size=2))
ROWS = st.dictionaries(KEYS, st.binary(max_size=1), max_size=12)


def entries(rows: dict[tuple[int, bytes], bytes]) -> list[Entry]:
    return [Entry(key, token) for key, token in sorted(rows.items())]


@given(ROWS, ROWS)
def test_what_differs_is_what_differs_between_dictionaries(
    before: dict[tuple[int, bytes], bytes], after: dict[tuple[int, bytes], bytes]
) -> None:
    found = list(differences(entries(before), entries(after)))
    pairs = {(one or other or Entry((), b"")).key: (one and one.token, other and other.token) for one, other in found}
    assert pairs == {
        key: (before.get(key), after.get(key)) for key in {**before, **after} if before.get(key) != after.get(key)
    }
    assert list(pairs) == sorted(pairs), "they come in the order of their keys"
    assert len(pairs) == len(found), "each comes once"


@given(st.lists(st.integers(-3, 3)))
def test_rows_that_are_the_same_are_counted(rows: list[int]) -> None:
    found = counted(Entry((row,), b"") for row in sorted(rows))
    assert {each.key[0]: int(each.token) for each in found} == Counter(rows)


def test_a_stream_that_is_not_in_order_is_refused_before_it_misleads() -> None:
    twice = [Entry((1,), b"a"), Entry((1,), b"a")]
    for one, other in ((twice, []), ([], twice), (twice[::-1], twice[:1])):
        with pytest.raises(ValueError, match="not in the order"):
            list(differences(one, other))
