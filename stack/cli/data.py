"""Commands on the data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from stack.cli.app import app, snapshot_app
from stack.cli.options import (
    AcceptLoss,
    Database,
    Dump,
    NoSnapshot,
    Session,
    SnapshotFile,
    SnapshotName,
    Source,
    Timeout,
    Yes,
    command,
)
from stack.errors import UsageError
from stack.report import Report


@command(snapshot_app.command("save"))
def snapshot_save(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name; the default is the time.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to this file, to take it elsewhere.")
    ] = None,
) -> Report[object]:
    """Save a snapshot of all databases, online.

    A snapshot is one compressed file with all databases, roles, row counts and checksums. It can be restored on any
    engine, under any instance name, and into a newer version of PostgreSQL.

    \b
    Examples:
      stackctl snapshot save before-the-demo
      stackctl snapshot save --output notes.zip
    """
    from stack.commands.snapshot import save_snapshot

    if name is not None and output is not None:
        raise UsageError("snapshot save: a NAME or --output FILE, not both", "leave one of them out")
    return save_snapshot(session.settings, session.progress, name, output)


@command(snapshot_app.command("list"))
def snapshot_list(session: Session) -> Report[object]:
    """List the snapshots of this instance, and their size.

    Automatic snapshots, made before a command replaces or deletes data, are kept for 30 days, ten at most.

    \b
    Example:
      stackctl snapshot list
    """
    from stack.commands.snapshot import list_snapshots

    return list_snapshots(session.settings)


@command(snapshot_app.command("show"))
def snapshot_show(session: Session, name: SnapshotName = None, source: SnapshotFile = None) -> Report[object]:
    """Verify a snapshot, and show its content.

    \b
    Examples:
      stackctl snapshot show before-the-demo
      stackctl snapshot show --input notes.zip
    """
    from stack.commands.snapshot import show_snapshot

    _one_of("snapshot show", name, source)
    return show_snapshot(session.settings, name, source)


@command(snapshot_app.command("restore"))
def snapshot_restore(
    session: Session,
    name: SnapshotName = None,
    source: SnapshotFile = None,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    accept_loss: AcceptLoss = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Replace the data with a snapshot; ask first.

    The snapshot is verified, loaded into a new volume and compared with what was saved before it replaces the current
    data. That is saved first; `stackctl undo` restores it. A snapshot contains SQL: restore only what you trust.

    \b
    Examples:
      stackctl snapshot restore before-the-demo
      stackctl snapshot restore --input notes.zip
    """
    from stack.commands.restore import restore

    _one_of("snapshot restore", name, source)
    confirm = session.asking("snapshot restore", yes, "Replace")
    return restore(session.settings, session.progress, confirm, name, source, not no_snapshot, accept_loss, timeout)


@command(snapshot_app.command("delete"))
def snapshot_delete(
    session: Session, name: Annotated[str, typer.Argument(metavar="NAME", help="The snapshot.")], yes: Yes = False
) -> Report[object]:
    """Delete a snapshot; ask first.

    \b
    Example:
      stackctl snapshot delete before-the-demo
    """
    from stack.commands.snapshot import delete_snapshot

    return delete_snapshot(session.settings, session.progress, name, session.asking("snapshot delete", yes))


def _one_of(command: str, name: str | None, source: Path | None) -> None:
    if (name is None) == (source is None):
        raise UsageError(
            f"{command}: which snapshot? A NAME or --input FILE", "`stackctl snapshot list` shows the names"
        )


@command(app.command("undo"))
def undo(
    session: Session,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    accept_loss: AcceptLoss = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Restore the data that the last command replaced or deleted.

    That is the last reset, restore, load --replace, upgrade or undo. The current data is saved first: a second `undo`
    reverts the first.

    \b
    Example:
      stackctl reset && stackctl undo
    """
    from stack.commands.undo import undo

    confirm = session.asking("undo", yes, "Replace")
    return undo(session.settings, session.progress, confirm, not no_snapshot, accept_loss, timeout)


@command(app.command("diff"))
def diff(
    session: Session,
    before: Annotated[
        str, typer.Argument(metavar="BEFORE", help="A snapshot by its name or file, or an instance of this stack.")
    ],
    after: Annotated[
        str | None, typer.Argument(metavar="[AFTER]", help="What to compare it with; the default is this instance.")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show the values too, not only keys and the names of changed columns.")
    ] = False,
    limit: Annotated[
        int,
        typer.Option("--limit", min=0, metavar="NUMBER", help="Show so many rows or files of each table or volume."),
    ] = 20,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 if anything differs.")] = False,
) -> Report[object]:
    """Compare the data and the schema of two instances or snapshots.

    It tells what was added, removed and changed on the way from BEFORE to AFTER. It changes neither: a snapshot is
    loaded into an instance of its own, which is removed afterwards. If a name is that of an instance and of a snapshot,
    write instance:NAME or snapshot:NAME.

    \b
    Examples:
      stackctl diff before-the-demo
      stackctl diff --values before-the-demo
      stackctl diff notes.zip --exit-code
    """
    from stack.commands.diff import diff
    from stack.differing import Wanted

    return diff(session.settings, session.progress, before, after, Wanted(limit, values), exit_code)


@command(app.command("dump"))
def dump(
    session: Session,
    target: Dump = None,
    kind: Annotated[
        Literal["sql", "custom"], typer.Option("--format", metavar="FORMAT", help="sql, or custom for pg_restore.")
    ] = "sql",
    name: Database = None,
) -> Report[object]:
    """Dump a database as SQL, online.

    A FILE that ends in .gz or .zst is compressed. Without FILE, or with -, the dump goes to standard output.

    \b
    Examples:
      stackctl dump notes.sql
      stackctl dump notes.sql.zst
      stackctl dump --format custom notes.dump
      stackctl dump | grep COPY
    """
    from stack.commands.dump import dump

    destination = None if target is None or str(target) == "-" else target
    if destination is None and session.json:
        raise UsageError("dump writes to standard output, and so does --json", "name a FILE")
    if destination is None and kind == "custom" and sys.stdout.isatty():
        raise UsageError("a custom dump is binary and not for a terminal", "name a FILE, or pipe it")
    return dump(session.settings, session.progress, kind, destination, sys.stdout.buffer, name)


@command(app.command("load"))
def load(
    session: Session,
    origin: Source,
    in_place: Annotated[bool, typer.Option("--replace", help="Replace the current DATA; ask first.")] = False,
    name: Database = None,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Load a dump into a database: all of it, or nothing.

    FILE is SQL or a custom dump of pg_dump, uncompressed or compressed with gzip or zstd; - is standard input. With
    --replace it is loaded into a new volume, which then replaces the current one; the current data is saved first, for
    `stackctl undo`.

    \b
    Examples:
      stackctl load more-notes.sql
      stackctl load --replace notes.sql.zst
      ssh server pg_dump shop | stackctl load --replace --yes -
    """
    from stack.commands.load import load, load_in_place

    source = None if str(origin) == "-" else origin
    if not in_place:
        return load(session.settings, session.progress, source, sys.stdin.buffer, name)
    confirm = session.asking("load --replace", yes, "Replace")
    return load_in_place(
        session.settings, session.progress, confirm, source, sys.stdin.buffer, name, not no_snapshot, timeout
    )


@command(app.command("seed"))
def seed(session: Session, origin: Source, name: Database = None) -> Report[object]:
    """Run a file of SQL on a database, in one transaction.

    \b
    Example:
      stackctl seed examples.sql
    """
    from stack.commands.load import load

    source = None if str(origin) == "-" else origin
    return load(session.settings, session.progress, source, sys.stdin.buffer, name, "seed")


@command(app.command("upgrade"))
def upgrade(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="COMPONENT", help="The database, such as db.")],
    to: Annotated[int, typer.Option("--to", min=1, metavar="VERSION", help="The declared major version.")],
    no_snapshot: NoSnapshot = False,
    accept_loss: AcceptLoss = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Migrate a database to a newer major version.

    Declare the version first. The old version saves a snapshot; the new one loads it into a new volume, and the result
    is compared before it replaces the current data. The app is stopped meanwhile. The old volume is kept for
    `stackctl undo`.

    \b
    Example:
      stackctl upgrade db --to 18
    """
    from stack.commands.upgrade import upgrade

    return upgrade(session.settings, name, to, session.progress, not no_snapshot, accept_loss, timeout)


@command(app.command("move"))
def move(
    session: Session,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="PLACE", help="compose, embedded, ssh://user@name, or a docker context."),
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Return to where it was, with the data of then.")] = False,
    old: Annotated[bool, typer.Option("--delete-old", help="Delete its DATA where it was before.")] = False,
    gone: Annotated[
        bool, typer.Option("--server-gone", help="With --back or --delete-old: give up a server that is gone for good.")
    ] = False,
    yes: Yes = False,
    accept_loss: AcceptLoss = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Move the instance with its data to another engine or machine; ask first.

    It is stopped, its data is saved, loaded at the new place and compared, and it starts there. How long nothing
    answered is measured. If anything fails it runs where it was. Its data stays where it was too, and nothing runs
    there, until --delete-old.

    \b
    Examples:
      stackctl move --to ssh://deploy@shop.example.com
      stackctl move --to embedded --dry-run
      stackctl move --back
      stackctl move --delete-old
    """
    from stack.commands.move import delete_old, move, move_back

    if sum([to is not None, back, old]) != 1:
        raise UsageError("move: --to PLACE, --back or --delete-old, one of them", "`stackctl status` says where it is")
    if old:
        return delete_old(session.settings, session.progress, session.asking("move --delete-old", yes), gone)
    confirm = session.asking("move", yes, "Move")
    if back:
        return move_back(session.settings, session.progress, confirm, gone, timeout)
    if gone:
        raise UsageError("move --to takes data from where it is", "leave --server-gone out")
    return move(session.settings, str(to), session.progress, confirm, accept_loss, dry_run, timeout)


@command(app.command("rotate"))
def rotate(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="COMPONENT", help="The database, such as db; or a parameter.")],
    timeout: Timeout = 120,
) -> Report[object]:
    """Rotate the password of a database, in the apps too, or a generated parameter.

    It also works if the old password is lost. An app is restarted, which drops its requests in flight, unless it
    declares rereads_secrets=True.

    \b
    Example:
      stackctl rotate db
    """
    from stack.commands.rotate import rotate

    return rotate(session.settings, name, session.progress, timeout)


@command(app.command("failover"))
def failover(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="COMPONENT", help="The database, such as db.")],
    yes: Yes = False,
    timeout: Timeout = 120,
) -> Report[object]:
    """Let the standby of a database take its place on another node; ask first.

    The database is stopped for good where it was, or its node is down: nothing of it can accept a write any more. Then
    its standby is promoted. Nothing does that by itself.

    \b
    Example:
      stackctl failover db
    """
    from stack.commands.failover import failover

    confirm = session.asking("failover", yes, "Move")
    return failover(session.settings, name, session.progress, confirm, timeout)
