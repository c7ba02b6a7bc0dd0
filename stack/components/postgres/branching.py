"""Copy the files of a server that serves on, as a base backup, and make a server of its own of the copy.

The files are copied one after the other while they change: with the log of that time the copy is as the server was at
the end of it, and has all that was acknowledged before. The log is kept until then by a slot of the session that ends
with it, however that ends.
"""

from __future__ import annotations

import json
import posixpath
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from stack.capabilities import Access, Serve
from stack.components.postgres.content import neutral
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.inventory import read_cluster
from stack.components.postgres.password import password_statement
from stack.components.postgres.properties import identifier, literal
from stack.components.postgres.psql import Psql, psql
from stack.components.postgres.server import Server
from stack.components.postgres.standby_scripts import NOTES
from stack.controls import visible
from stack.copying import FileCopy, OpenCopy, require_space, told
from stack.errors import StackError
from stack.progress import Progress

_WAL = "pg_wal"
# What a server makes by itself, and what belongs to the one that is copied alone: its log, its slots, its processes,
# and what it knows of its standby.
_LEFT_OUT = (
    _WAL, "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans",
    "postmaster.pid", "postmaster.opts", "current_logfiles", "backup_label", "backup_label.old", "tablespace_map",
    "tablespace_map.old", *NOTES,
)  # fmt: skip
_ASKED = """\
SELECT json_build_object(
    'folder', current_setting('data_directory'), 'wal_level', current_setting('wal_level'),
    'archive_mode', current_setting('archive_mode'), 'slots', current_setting('max_replication_slots')::int,
    'used', (SELECT count(*) FROM pg_replication_slots),
    'tablespaces', (SELECT coalesce(json_agg(spcname ORDER BY spcname), '[]') FROM pg_tablespace
        WHERE spcname NOT IN ('pg_default', 'pg_global'))
);
"""
_BEGIN = """\
SELECT slot_name FROM pg_create_physical_replication_slot('{slot}', true, true);
"""
_START = "SELECT pg_walfile_name(pg_backup_start('stackctl', true));\n"
_STOP = """\
SELECT json_build_object('label', labelfile, 'last', pg_walfile_name(lsn)) FROM pg_backup_stop(false);
"""
_SEGMENTS = """\
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_ls_waldir()
WHERE name BETWEEN {first} AND {last} AND name ~ '^[0-9A-F]{{24}}$' OR name ~ '^[0-9A-F]{{8}}[.]history$';
"""
# The server that is made of the copy neither sends its log to where the other does, nor takes from where that does.
_ALONE = ("-c", "archive_mode=off", "-c", "max_logical_replication_workers=0")
_PREPARED = "SELECT coalesce(json_agg(gid ORDER BY gid), '[]') FROM pg_prepared_xacts WHERE database = {database};\n"
_SUBSCRIPTIONS = """\
SELECT coalesce(json_agg(subname ORDER BY subname), '[]') FROM pg_subscription
JOIN pg_database ON pg_database.oid = subdbid WHERE datname = {database};
"""
_UNLOGGED = """\
SELECT coalesce(json_agg(pg_class.oid::regclass::text ORDER BY pg_class.oid::regclass::text), '[]')
FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r';
"""


def copy_cluster(database: Postgres, source: Access, opening: OpenCopy, progress: Progress) -> int:
    """Copy all of a server that serves on, and give the bytes.

    Raises `branch-refused`, `branch-failed`, `query-failed` and `disk-full`.
    """
    with source.session(database.serve(source.target)) as session, opening("") as files:
        server = Server(database, session)
        with psql(server, database.database, {"search_path": "pg_catalog"}) as asked:
            facts: Mapping[str, Any] = json.loads(asked.ask(_ASKED))
            _require_copyable(database, facts)
            folder = _folder(database, source, str(facts["folder"]))
            amount = files.size([posixpath.join(folder, _WAL)])
            require_space(files, database.name, amount)
            progress.step(told(files, database.name, amount, "; it serves on"))
            _copy(asked, files, folder)
            return amount


def _copy(asked: Psql, files: FileCopy, folder: str) -> None:
    asked.ask(_BEGIN.format(slot=f"stackctl_branch_{secrets.token_hex(4)}"))
    first = asked.ask(_START)
    files.copy(folder, _LEFT_OUT)
    stopped: Mapping[str, str] = json.loads(asked.ask(_STOP))
    segments = _SEGMENTS.format(first=literal(first), last=literal(stopped["last"]))
    files.copy_files(posixpath.join(folder, _WAL), json.loads(asked.ask(segments)))
    # Last: without it a server would begin at a later moment than the files are of.
    files.write(posixpath.join(folder, "backup_label"), stopped["label"])


def _folder(database: Postgres, source: Access, folder: str) -> str:
    """Return where in its volume the data are."""
    if source.target == "process":
        return ""
    (volume,) = database.workload(source.target).volumes
    inside = posixpath.relpath(folder, volume.target)
    return "" if inside == "." else inside


def _require_copyable(database: Postgres, facts: Mapping[str, Any]) -> None:
    name = database.name
    if facts["tablespaces"]:
        listed = ", ".join(map(visible, facts["tablespaces"]))
        raise _refused(
            name, f"it has tablespaces outside of its volume: {listed}", "move what is in them, and drop them"
        )
    if facts["archive_mode"] != "off":
        problem = f"it archives its log (archive_mode is {facts['archive_mode']}), and a branch would to the same place"
        raise _refused(name, problem, 'set archive_mode to "off"')
    if facts["wal_level"] == "minimal":
        raise _refused(name, "its log is minimal (wal_level), so it can't be copied while it serves", "take that out")
    if facts["slots"] <= facts["used"]:
        problem = f"all of its max_replication_slots ({facts['slots']}) are used, and the copy needs one while it lasts"
        raise _refused(name, problem, "declare one more")


def _refused(name: str, problem: str, fix: str) -> StackError:
    return StackError("branch-refused", f"{name}: {problem}; nothing was changed", f"{fix}, and run this again")


def settle_cluster(database: Postgres, target: Access, password: str) -> tuple[str, ...]:
    """Give the copy its own password before anything else can connect, and end what belongs to the other server.

    Return what is not as in the other, for people. Raises `branch-failed`, and `database-failed`.
    """
    with target.offline(_alone(database.serve(target.target))) as session:
        server = Server(database, session)
        cluster = read_cluster(server)
        names = [each.name for each in cluster.databases if each.properties.connects]
        with psql(server, database.database, neutral(cluster.major)) as asked:
            _run(database, asked, f"{password_statement(database, password)};\n")
            told = [line for name in names for line in _settle(database, asked, name, cluster.major)]
    return tuple(told)


def _alone(serve: Serve) -> Serve:
    return replace(serve, command=(*serve.command, *_ALONE))


def _settle(database: Postgres, asked: Psql, name: str, major: int) -> Iterator[str]:
    asked.connect(name, neutral(major))
    prepared = json.loads(asked.ask(_PREPARED.format(database=literal(name))))
    for gid in prepared:
        _run(database, asked, f"ROLLBACK PREPARED {literal(gid)};\n")
    subscriptions = json.loads(asked.ask(_SUBSCRIPTIONS.format(database=literal(name))))
    for each in map(identifier, subscriptions):
        # Its slot is that of the other server, which it would take changes from.
        _run(
            database, asked, f"ALTER SUBSCRIPTION {each} DISABLE;\nALTER SUBSCRIPTION {each} SET (slot_name = NONE);\n"
        )
    unlogged = json.loads(asked.ask(_UNLOGGED))
    where = f"{database.name}: in {visible(name)}"
    for found, what in (
        (prepared, "prepared transactions were rolled back"),
        (subscriptions, "subscriptions are off"),
        (unlogged, "unlogged tables are empty"),
    ):
        if found:
            yield f"{where}, {what}: {', '.join(map(visible, found))}"


def _run(database: Postgres, asked: Psql, statements: str) -> None:
    if complaint := asked.run(statements):
        problem = f"{database.name}: the copy did not take what makes it a server of its own"
        raise StackError("branch-failed", problem, "mend what it names, and run this again", complaint)
