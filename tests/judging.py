"""Visit and read an instance of the playground while something is done to it, and judge whether it counted right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli import Cli, eventually
from tests.history import violations
from tests.load import Load

PAGES = ("homepage", "about")


def counts(cli: Cli) -> dict[str, int]:
    rows = cli.data("inspect", "db", "--query", "SELECT page, visits FROM visit_counter")["rows"]
    return dict.fromkeys(PAGES, 0) | {page: int(visits) for page, visits in rows}


@contextmanager
def judged(cli: Cli, *, exact_reads: bool = True) -> Iterator[Load]:
    """Load before, while and after what is done in the block, and then the judgement."""
    load = Load(lambda: [cli.port], PAGES, visitors=4, readers=2)
    load.start()
    try:
        go_on(load)
        yield load
        go_on(load)
    finally:
        load.stop()
    found = violations(load.log, counts(cli), exact_reads=exact_reads)
    assert not found, f"{len(found)} impossible of {len(load.log)}, the first: {json.dumps(found[:5])}"


def go_on(load: Load, more: int = 50) -> None:
    goal = load.acknowledged() + more
    eventually(lambda: load.acknowledged() >= goal)
