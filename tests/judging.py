"""Visit and read the counter while something is done to it, and let the checker of `tests/history.py` judge."""

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
def judged(cli: Cli, load: Load | None = None, *, exact_reads: bool = True) -> Iterator[Load]:
    """Load before, while and after what is done in the block, and then the judgement.

    Without a load of its own it is on the published port.
    """
    load = load or Load(lambda: [cli.port], PAGES, visitors=4, readers=2, hosts=[cli.host])
    load.start()
    try:
        go_on(load)
        yield load
        go_on(load)
    finally:
        load.stop()
    judge(cli, load, exact_reads=exact_reads)


def judge(cli: Cli, load: Load, *, exact_reads: bool = True) -> None:
    """Compare what a load that is over was answered with what the database holds."""
    found = violations(load.log, counts(cli, load.pages), exact_reads=exact_reads)
    assert not found, f"{len(found)} impossible of {len(load.log)}, the first: {json.dumps(found[:5])}"


def go_on(load: Load, more: int = 50) -> None:
    goal = load.acknowledged() + more
    eventually(lambda: load.acknowledged() >= goal)
