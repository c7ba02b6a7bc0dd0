"""Compare the databases of two servers, schema and rows; see `stack.differing.Differ`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from stack.components.postgres.content import session
from stack.components.postgres.databases import Pair, compare_rows, compare_schema
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.inventory import Cluster, Database, read_cluster
from stack.components.postgres.server import Server
from stack.controls import visible
from stack.differing import Side, Wanted
from stack.frozen import dataclass
from stack.progress import Progress
from stack.results.differences import ComponentDifference, ContentDifference, SchemaDifference, change_between


@dataclass(frozen=True)
class PostgresDiffer:
    """All databases of a server. Each is read in one transaction on each side, and as it was at one moment there."""

    database: Postgres
    loads: bool = True

    def compare(self, before: Side, after: Side, wanted: Wanted, progress: Progress) -> ComponentDifference:
        with _serving(before) as one, _serving(after) as other:
            stored = before.stored is not None or after.stored is not None
            return _compare(one, other, stored, wanted, progress)


@contextmanager
def _serving(side: Side) -> Iterator[Server]:
    """Serve a side, whose component may be declared otherwise than that of the other."""
    database = cast("PostgresDiffer", side.differ).database
    with side.access.session(database.serve(side.access.target)) as opened:
        yield Server(database, opened)


def _compare(before: Server, after: Server, stored: bool, wanted: Wanted, progress: Progress) -> ComponentDifference:
    one, other = read_cluster(before), read_cluster(after)
    schema, contents, notices = list[SchemaDifference](), list[ContentDifference](), list[str]()
    for name in dict.fromkeys([*_databases(one), *_databases(other)]):
        was, now = _databases(one).get(name), _databases(other).get(name)
        encodings = [None if each is None else f"ENCODING {each.encoding}" for each in (was, now)]
        if encodings[0] != encodings[1]:
            schema.append(SchemaDifference(name, "database", name, change_between(was, now), *encodings))
        elif was is not None and now is not None and not (was.properties.connects and now.properties.connects):
            notices.append(f"{visible(name)} allows no connections, and was not compared")
        elif was is not None:
            with session(before, name, one.major) as first, session(after, name, other.major) as second:
                pair = Pair(before.database.name, name, was.encoding, first, second, stored)
                schema += compare_schema(pair)
                contents += compare_rows(pair, wanted, progress)
    return ComponentDifference(None, tuple(schema), tuple(contents), tuple(notices))


def _databases(cluster: Cluster) -> dict[str, Database]:
    return {each.name: each for each in cluster.databases}
