"""Save the data of a component: all databases of a server that serves on, its roles, and what is set for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from stack.components.postgres.content import CHECKSUMS, Session, neutral, session
from stack.components.postgres.inventory import COPY, Cluster, Database, read_cluster
from stack.components.postgres.largest import require_memory
from stack.components.postgres.properties import identifier
from stack.components.postgres.saved import SavedComponent, SavedDatabase
from stack.components.postgres.server import Server, conninfo
from stack.components.postgres.transfer import broke, chunks, run_sql, stream
from stack.controls import visible
from stack.errors import StackError
from stack.progress import Progress
from stack.report import size
from stack.snapshots.archive import RESERVE, Writer
from stack.snapshots.manifest import Member

# Those that a new server has: whether each is a template, its comment, and the number of its access privileges, of
# PUBLIC and of its owner.
_FIRST = {
    "postgres": (False, "default administrative connection database", 0),
    "template1": (True, "default template for new databases", 4),
}
_FIRST_OID = 16384
_CATALOGS = (
    "pg_class", "pg_proc", "pg_type", "pg_namespace", "pg_extension", "pg_collation", "pg_conversion", "pg_operator",
    "pg_opclass", "pg_opfamily", "pg_cast", "pg_language", "pg_ts_config", "pg_ts_dict", "pg_ts_parser",
    "pg_ts_template", "pg_event_trigger", "pg_foreign_data_wrapper", "pg_foreign_server", "pg_publication",
    "pg_subscription", "pg_largeobject_metadata", "pg_default_acl", "pg_am", "pg_statistic_ext", "pg_transform",
)  # fmt: skip
# Catalogs of what has privileges, in which column, and the column of its schema.
_PRIVILEGES = (
    ("pg_namespace", "nspacl", "oid"), ("pg_class", "relacl", "relnamespace"), ("pg_proc", "proacl", "pronamespace"),
)  # fmt: skip
_GRANTED = " UNION ALL ".join(
    f"SELECT {column} AS now, initprivs FROM {catalog} LEFT JOIN pg_init_privs AS p ON p.objoid = {catalog}.oid "  # noqa: S608 - constants
    f"AND p.classoid = {catalog}.tableoid AND objsubid = 0 WHERE {schema} <> 'information_schema'::regnamespace"
    for catalog, column, schema in _PRIVILEGES
)
_UNTOUCHED = f"""
SELECT NOT EXISTS (SELECT FROM (
    {" UNION ALL ".join(f"SELECT max(oid::int8) AS newest FROM {each}" for each in _CATALOGS)}
) AS catalogs WHERE newest >= {_FIRST_OID})
AND NOT EXISTS (SELECT FROM ({_GRANTED}) AS granted WHERE now IS DISTINCT FROM initprivs);
"""  # noqa: S608 - constants


def save_component(
    server: Server, store: str, archive: Writer, free: Callable[[], int | None], progress: Progress
) -> SavedComponent:
    """Save all databases and the roles of a server, which serves on. Each database is as it was at one moment.

    `store` is the name of where its data are, `free` tells the bytes that are free there. Raises `save-failed`,
    `query-failed`, `disk-full`, and what a `Writer` raises.
    """
    cluster = read_cluster(server)
    with ExitStack() as stack:
        # All of them first, so that these moments are as near to each other as they can be.
        sources = [stack.enter_context(_readable(server, each, cluster, free)) for each in cluster.databases]
        opened = [stack.enter_context(session(server, source, cluster.major)) for source in sources]
        found = [
            (each, source, at)
            for each, source, at in zip(cluster.databases, sources, opened, strict=True)
            if each.name == server.database.database or not _is_untouched(each, cluster, at)
        ]
        for _, _, at in found:
            require_memory(server, at)
        roles = _save_roles(server, archive)
        databases = [
            _save_database(server, archive, number, each, source, at, progress)
            for number, (each, source, at) in enumerate(found, 1)
        ]
    return SavedComponent(
        version=cluster.version,
        user=server.database.user,
        database=server.database.database,
        store=store,
        roles=roles,
        databases=tuple(databases),
        admin=cluster.admin,
        settings=cluster.settings,
        system=cluster.system,
        checksums=CHECKSUMS,
    )


@contextmanager
def _readable(server: Server, database: Database, cluster: Cluster, free: Callable[[], int | None]) -> Iterator[str]:
    """The name under which a database can be read.

    A database that allows no connections is copied first: allowing them for a moment would last if we were killed.
    """
    name = database.name
    if database.properties.connects:
        yield name
        return
    needed, left = database.size + RESERVE, free()
    if left is not None and left < needed:
        raise StackError(
            "disk-full",
            f"{server.database.name}: {visible(name)} allows no connections, so it is saved from a copy, which needs "
            f"{size(needed)}, and {size(left)} are free; nothing was changed",
            f"make room, or let it be read: ALTER DATABASE {identifier(visible(name))} ALLOW_CONNECTIONS true",
        )
    copy = f"{COPY}{database.oid}"
    # Also what a command that was killed left.
    removed = f"DROP DATABASE IF EXISTS {copy} WITH (FORCE);\n".encode()
    made = f"CREATE DATABASE {copy} TEMPLATE {identifier(name)} STRATEGY FILE_COPY;\n".encode()
    try:
        for statement in (removed, made):
            if complaint := run_sql(server, cluster.major, server.database.database, [statement]):
                raise broke("save-failed", server, f"{visible(name)} could not be copied, to be saved", complaint)
        yield copy
    finally:
        run_sql(server, cluster.major, server.database.database, [removed])


def _is_untouched(database: Database, cluster: Cluster, at: Session) -> bool:
    """Whether it is as every new server has it."""
    found = database.properties
    as_found = (found.owner, found.limit, found.connects, found.template, found.comment, len(found.grants or ()))
    return as_found == (cluster.admin, -1, True, *_FIRST.get(database.name, ())) and at.ask(_UNTOUCHED) == "t"


def _save_database(
    server: Server, archive: Writer, number: int, database: Database, source: str, at: Session, progress: Progress
) -> SavedDatabase:
    """`source`: the name of the database that is read."""
    name = visible(database.name)
    words = [
        "pg_dump", "--format=custom", "--compress=0", "--no-password", f"--snapshot={at.moment}",
        "-d", conninfo(source, server.admin, neutral(at.major)),
    ]  # fmt: skip
    with ThreadPoolExecutor(max_workers=1) as counting, server.pipe(words, take=True) as dump:
        content = counting.submit(at.tables)
        try:
            with archive.member(f"{server.database.name}/{number}.dump.zst") as sink:
                stream(chunks(dump.output), sink, server, f"saving {name}", progress)
        except BaseException:
            at.abandon()
            raise
        if dump.finish():
            raise broke("save-failed", server, f"{name} could not be saved; nothing was changed", dump.complaint)
        return SavedDatabase(
            database.name, database.encoding, database.size, sink.member, content.result(), database.properties
        )


def _save_roles(server: Server, archive: Writer) -> Member:
    words = ["pg_dumpall", "--roles-only", "--no-password", "-U", server.admin, "-l", server.database.database]
    answer = server.run(words, limit=None)
    if not answer.ok:
        raise broke("save-failed", server, "the roles could not be saved; nothing was changed", answer.stderr)
    with archive.member(f"{server.database.name}/roles.sql") as sink:
        sink.write(answer.stdout.encode())
    return sink.member
