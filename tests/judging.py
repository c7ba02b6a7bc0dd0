"""An instance of the counter under load, judged by the checker of `tests/history.py` at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.cli import Cli, eventually
from tests.history import violations
from tests.load import Load

PAGES = ("homepage", "about")


def counts(cli: Cli, pages: Sequence[str] = PAGES) -> dict[str, int]:
    rows = cli.data("inspect", "db", "--query", "SELECT page, visits FROM visit_counter")["rows"]
    found = {page: int(visits) for page, visits in rows}
    return {page: found.get(page, 0) for page in pages}


@contextmanager
def judged(cli: Cli, load: Load, *, exact_reads: bool = True) -> Iterator[None]:
    """Load before, while and after what is done in the block, and then the judgement."""
    load.start()
    try:
        go_on(load)
        yield
        go_on(load)
    finally:
        load.stop()
    found = violations(load.log, counts(cli, load.pages), exact_reads=exact_reads)
    assert not found, f"{len(found)} impossible of {len(load.log)}, the first: {json.dumps(found[:5])}"


def go_on(load: Load, more: int = 50) -> None:
    goal = load.acknowledged() + more
    eventually(lambda: load.acknowledged() >= goal)
