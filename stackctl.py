"""The list of commands: each parses its options and calls one operation. It decides nothing."""

from __future__ import annotations

import signal
import sys

# A Ctrl-C while the rest is still being imported, or after the last word was said, ends the program and shows nothing.
_PROGRAM = sys.argv[0].endswith(("stackctl", "stackctl.py")) and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _PROGRAM:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from stack.cli.options import (
    AcceptLoss,
    CommandInComponent,
    Database,
    Dump,
    Name,
    NoSnapshot,
    Port,
    Session,
    Shared,
    SnapshotFile,
    SnapshotName,
    Source,
    Timeout,
    Until,
    Yes,
    command,
)
from stack.cli.outcome import fail
from stack.cli.progress import redrawing
from stack.cli.terminal import Output, style, write_foreign
from stack.errors import ExitCode, UsageError
from stack.report import Report
from stack.version import __version__

_HELP = """Your web app, its PostgreSQL and its Redis, up with one command.

Without --file it runs the bundled playground, a visit counter. A stack file of your own is plain Python:

\b
    from stack import Postgres, Redis, Stack, WebApp
    db = Postgres("db")
    cache = Redis("cache")
    web = WebApp("web", source=".", port=8000, uses=[db, cache])
    stack = Stack("shop", [web, db, cache])

\b
Examples:
    stackctl up
    stackctl --file shop.py up --port 8080
    stackctl inspect
    stackctl exec db -- psql -U student -d student_notes
"""

app = typer.Typer(
    name="stackctl",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
inspect_app = typer.Typer(rich_markup_mode=None)
app.add_typer(inspect_app, name="inspect")
snapshot_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Save the data, and bring it back.")
app.add_typer(snapshot_app, name="snapshot")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"stackctl {__version__}")
        raise typer.Exit


@app.callback()
def _outer(
    context: typer.Context,
    file: Shared.file = None,
    instance: Shared.instance = None,
    engine: Shared.engine = None,
    json: Shared.json = False,
    debug: Shared.debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = {"file": file, "instance": instance, "engine": engine, "json": json, "debug": debug}


@command(app.command("up"))
def up(
    session: Session,
    port: Port = None,
    timeout: Timeout = 120,
    saved: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Only if the plan saved in this file holds still.")
    ] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Put back what ran if what is new fails.")] = False,
    system_binaries: Annotated[
        bool, typer.Option("--use-system-binaries", help="Embedded: run the servers that are on PATH.")
    ] = False,
) -> Report:
    """Build and start everything; say where it answers.

    A second `up` changes only what is declared differently; data is always kept. `plan` shows before what it
    would do.

    \b
    Examples:
      stackctl up
      stackctl up --port 8080
      stackctl up --port auto
      stackctl up --instance review
      stackctl up --engine embedded
    """
    from stack.commands.up import Wish, up

    return up(session.settings, session.progress, _ports(port or []), system_binaries, Wish(timeout, saved, rollback))


@command(app.command("plan"))
def plan(
    session: Session,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 3 if something would change.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Save it for `up --plan FILE`.")
    ] = None,
) -> Report:
    """Show what `up` would do, why, and what happens to the data.

    It changes nothing. What somebody changed by hand is marked as drift.

    \b
    Examples:
      stackctl plan
      stackctl plan --exit-code
      stackctl plan --output next.json && stackctl up --plan next.json
    """
    from stack.commands.plan import plan

    return plan(session.settings, exit_code, output)


def _ports(texts: list[str]) -> dict[str | None, int | Literal["auto"]]:
    """`8080` → {None: 8080}; `web=8080` → {"web": 8080}; `web=auto` → {"web": "auto"}."""
    ports: dict[str | None, int | Literal["auto"]] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if number == "auto" and (name or not equals):
            ports[name or None] = "auto"
            continue
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535 or (equals and not name):
            raise UsageError(
                f"--port: {text!r} is not a port (1-65535)", "write --port 8080, --port web=8080 or --port auto"
            )
        ports[name or None] = int(number)
    return ports


@command(app.command("status"))
def status(
    session: Session,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Show it again each second; Ctrl-C ends it.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 unless everything is up.")] = False,
) -> Report:
    """Show each component and how it is.

    Each app is asked at its health path. Without --exit-code it ends with 0 whatever it shows.

    \b
    Examples:
      stackctl status
      stackctl status --watch
      stackctl status --exit-code
    """
    from stack.commands.status import status, watch

    if not watching:
        return status(session.settings, exit_code)
    if session.json or not sys.stdout.isatty():
        raise UsageError("status --watch draws on a terminal", "programs read `stackctl events`")
    show = redrawing(sys.stdout)
    return watch(session.settings, style, lambda text: show(session.invocation.text(text)))


@command(app.command("wait"))
def wait(session: Session, timeout: Timeout = 120) -> Report:
    """Wait until everything is ready, whoever starts it.

    It ends with 0 as soon as all components are well and a real request was answered, and with 1 when that can't be
    any more or the time is over.

    \b
    Example:
      stackctl wait --timeout 60 && npm test
    """
    from stack.commands.wait import wait

    return wait(session.settings, session.progress, timeout)


@command(app.command("events"))
def events(
    session: Session,
    until: Annotated[
        Until | None, typer.Option("--until", help="End when it is ready, or when nothing of it runs any more.")
    ] = None,
) -> Report:
    """Follow what changes, one JSON object a line; Ctrl-C ends it.

    First comes the state of each component, then each change of its state or health and each restart.

    \b
    Examples:
      stackctl events
      stackctl events --until ready | jq .component
    """
    from stack.commands.events import events

    if session.json:
        raise UsageError("events are JSON lines already, --json is one object", "leave --json out")
    return events(session.settings, Output(), until)


@command(inspect_app.callback(invoke_without_command=True))
def inspect(session: Session) -> Report:
    """Show what PostgreSQL and Redis hold.

    \b
    Examples:
      stackctl inspect
      stackctl inspect db --query "SELECT count(*) FROM visit_counter"
      stackctl inspect cache --key visit_counter:about
    """
    from stack.commands.inspect import inspect

    return inspect(session.settings)


@command(inspect_app.command("db"))
def inspect_db(
    session: Session,
    name: Name = None,
    query: Annotated[str | None, typer.Option("--query", "-q", metavar="SQL", help="Ask this instead.")] = None,
) -> Report:
    """Show the rows of the table in PostgreSQL.

    They are read with psql beside the server. Without a declared table it lists the tables.

    \b
    Examples:
      stackctl inspect db
      stackctl inspect db --query "SELECT count(*) FROM visit_counter"
    """
    from stack.commands.inspect import inspect_one

    return inspect_one(session.settings, "db", name, query)


@command(inspect_app.command("cache"))
def inspect_cache(
    session: Session,
    name: Name = None,
    key: Annotated[str | None, typer.Option("--key", "-k", metavar="KEY", help="Show this key instead.")] = None,
) -> Report:
    """Show the value in Redis, and whether PostgreSQL agrees.

    \b
    Examples:
      stackctl inspect cache
      stackctl inspect cache --key visit_counter:about
    """
    from stack.commands.inspect import inspect_one

    return inspect_one(session.settings, "cache", name, key)


@command(app.command("logs"), short_file=False)
def logs(
    session: Session,
    service: Annotated[str | None, typer.Argument(metavar="SERVICE", help="Only this one.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come; Ctrl-C ends it.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=0, metavar="N", help="Only the last N lines.")] = None,
) -> Report:
    """Show what the components wrote.

    \b
    Examples:
      stackctl logs
      stackctl logs -f web
      stackctl logs --tail 20 db
    """
    from stack.commands.logs import logs

    if follow and session.json:
        raise UsageError("logs --follow has no end, --json is one object", "leave one of them out")
    return logs(session.settings, service, tail, write_foreign if follow else None)


@command(
    app.command(
        "exec",
        cls=CommandInComponent,
        context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    )
)
def execute(
    session: Session,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The component: web, db, cache.")],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.")],
) -> Report:
    """Run a command in a component.

    It ends with the command's own exit code. It is interactive on a terminal, and plain otherwise, so that its
    output can be piped.

    \b
    Examples:
      stackctl exec db -- psql -U student -d student_notes
      stackctl exec cache -- redis-cli DBSIZE
    """
    from stack.commands.exec import execute

    # Options after SERVICE are the command's own, with and without the `--` that says so.
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise UsageError("exec: there is no command after --", "for example: `stackctl exec db -- psql --version`")
    return execute(session.settings, service, words, capture=session.json)


@command(app.command("doctor"))
def doctor(
    session: Session,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write a zip for a report of a problem, without secrets."),
    ] = None,
) -> Report:
    """Examine this machine and the instance; say what to type where something is wrong.

    It changes nothing, and ends with 1 when something failed.

    \b
    Examples:
      stackctl doctor
      stackctl doctor --bundle report.zip
    """
    if bundle is None:
        from stack.commands.doctor import doctor

        return doctor(session.settings)
    from stack.commands.bundle import bundle as write_bundle

    return write_bundle(session.settings, bundle)


@command(app.command("rotate"))
def rotate(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The database: db.")],
    timeout: Timeout = 120,
) -> Report:
    """Give a database another password, and the apps that use it.

    It also works if the old one was lost. An app is restarted, which ends its requests in flight, unless it declares
    rereads_secrets=True.

    \b
    Example:
      stackctl rotate db
    """
    from stack.commands.rotate import rotate

    return rotate(session.settings, name, session.progress, timeout)


@command(app.command("stop"))
def stop(session: Session) -> Report:
    """Stop the components; `start` brings them back."""
    from stack.commands.stop import stop

    return stop(session.settings, session.progress)


@command(app.command("start"))
def start(session: Session, timeout: Timeout = 120) -> Report:
    """Start what `stop` stopped, and wait until it answers."""
    from stack.commands.start import start

    return start(session.settings, session.progress, timeout)


@command(app.command("down"))
def down(session: Session) -> Report:
    """Remove the components; keep the data.

    `stackctl up` brings everything back.
    """
    from stack.commands.down import down

    return down(session.settings, session.progress)


@command(app.command("reset"))
def reset(
    session: Session, yes: Yes = False, no_snapshot: NoSnapshot = False, accept_loss: AcceptLoss = False
) -> Report:
    """Delete everything, the DATA included; ask first.

    It says what it will delete. What the databases hold is saved first, loaded once and compared, and `stackctl undo`
    brings it back. Without a terminal to answer on it needs --yes.

    \b
    Examples:
      stackctl reset
      stackctl reset --yes --no-snapshot
    """
    from stack.commands.reset import reset

    return reset(session.settings, session.progress, session.asking("reset", yes), not no_snapshot, accept_loss)


@command(app.command("dump"))
def dump(
    session: Session,
    target: Dump = None,
    kind: Annotated[
        Literal["sql", "custom"], typer.Option("--format", metavar="FORMAT", help="sql, or custom: for pg_restore.")
    ] = "sql",
    name: Database = None,
) -> Report:
    """Write a database out as SQL, while it serves.

    A FILE that ends in .gz or .zst is packed; without one, or with -, it goes to standard output.

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
        raise UsageError("a custom dump is no text for a terminal", "name a FILE, or pipe it")
    return dump(session.settings, session.progress, kind, destination, sys.stdout.buffer, name)


@command(app.command("load"))
def load(
    session: Session,
    origin: Source,
    in_place: Annotated[
        bool, typer.Option("--replace", help="In the place of the DATA that is there; ask first.")
    ] = False,
    name: Database = None,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    timeout: Timeout = 120,
) -> Report:
    """Put a dump into a database: all of it, or nothing.

    It may be SQL or a custom dump of pg_dump, plain or packed with gzip or zstd; - is standard input. With --replace
    it goes into a new database, which then takes over; what is replaced is saved before, for `stackctl undo`.

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
def seed(session: Session, origin: Source, name: Database = None) -> Report:
    """Run a file of SQL on a database, in one transaction.

    \b
    Example:
      stackctl seed examples.sql
    """
    from stack.commands.load import load

    source = None if str(origin) == "-" else origin
    return load(session.settings, session.progress, source, sys.stdin.buffer, name, "seed")


@command(app.command("shell"))
def shell(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A database or a cache: db, cache.")],
    write: Annotated[bool, typer.Option("--write", help="psql: not read-only.")] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="psql: as the server's administrator, stackctl_admin.")
    ] = False,
) -> Report:
    """Open psql on a database, read-only, or redis-cli on a cache.

    It ends with the client's own exit code. Without a terminal it runs what comes on standard input.

    \b
    Examples:
      stackctl shell db
      stackctl shell db --write
      echo "CREATE ROLE reader LOGIN" | stackctl shell db --admin --write
      echo "SELECT * FROM visit_counter" | stackctl shell db
      stackctl shell cache
    """
    from stack.commands.shell import shell

    if session.json:
        raise UsageError("shell is a conversation, --json is one object", "`stackctl inspect db --query SQL --json`")
    return shell(session.settings, name, write, admin)


@command(snapshot_app.command("save"))
def snapshot_save(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name; else the time is.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Into this file, to take it elsewhere.")
    ] = None,
) -> Report:
    """Save what all databases hold, while they serve.

    One compressed file with all databases, roles, row counts and checksums. It can be restored on any engine, under
    any instance name, and into a newer version of PostgreSQL.

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
def snapshot_list(session: Session) -> Report:
    """List the snapshots of this instance, and what they take.

    Those that commands made before they replaced or deleted data are kept for 30 days, and no more than ten.

    \b
    Example:
      stackctl snapshot list
    """
    from stack.commands.snapshot import list_snapshots

    return list_snapshots(session.settings)


@command(snapshot_app.command("show"))
def snapshot_show(session: Session, name: SnapshotName = None, source: SnapshotFile = None) -> Report:
    """Check that a snapshot is whole, and show what is in it.

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
) -> Report:
    """Replace the data by that of a snapshot; ask first.

    The snapshot is checked, loaded beside the data in use, and compared with what was saved; only then it takes over.
    What is replaced is saved before, and `stackctl undo` brings it back. Restore only what you trust: it is SQL.

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
    session: Session, name: Annotated[str, typer.Argument(metavar="NAME", help="Which one.")], yes: Yes = False
) -> Report:
    """Delete a snapshot; ask first.

    \b
    Example:
      stackctl snapshot delete before-the-demo
    """
    from stack.commands.snapshot import delete_snapshot

    return delete_snapshot(session.settings, session.progress, name, session.asking("snapshot delete", yes))


@command(app.command("undo"))
def undo(
    session: Session,
    yes: Yes = False,
    no_snapshot: NoSnapshot = False,
    accept_loss: AcceptLoss = False,
    timeout: Timeout = 120,
) -> Report:
    """Bring back the data that the last reset, restore, load --replace, upgrade or undo replaced.

    What is there now is saved first: a second `undo` undoes the first.

    \b
    Example:
      stackctl reset && stackctl undo
    """
    from stack.commands.restore import undo

    confirm = session.asking("undo", yes, "Replace")
    return undo(session.settings, session.progress, confirm, not no_snapshot, accept_loss, timeout)


@command(app.command("upgrade"))
def upgrade(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The database: db.")],
    to: Annotated[int, typer.Option("--to", min=1, metavar="VERSION", help="The major version that is declared.")],
    no_snapshot: NoSnapshot = False,
    accept_loss: AcceptLoss = False,
    timeout: Timeout = 120,
) -> Report:
    """Take the data of a database along to a newer major version of PostgreSQL.

    Declare the version first. A snapshot is made by the old version, loaded into a new data store by the new one,
    and compared; then it takes over. The app is stopped meanwhile. The old data stays, for `stackctl undo`.

    \b
    Example:
      stackctl upgrade db --to 18
    """
    from stack.commands.upgrade import upgrade

    return upgrade(session.settings, name, to, session.progress, not no_snapshot, accept_loss, timeout)


def _one_of(command: str, name: str | None, source: Path | None) -> None:
    if (name is None) == (source is None):
        raise UsageError(f"{command}: which snapshot? A NAME or --input FILE", "`stackctl snapshot list` has the names")


@command(app.command("ls"))
def ls(
    session: Session,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that other users, or other lists of yours, have on this machine.")
    ] = False,
) -> Report:
    """List your instances on this machine.

    It runs no stack file: one that is broken or gone is no obstacle. --instance and --engine narrow it.

    \b
    Examples:
      stackctl ls
      stackctl ls --all --json
    """
    from stack.commands.ls import ls

    return ls(session.settings, every)


@command(app.command("prune"))
def prune(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would remove.")] = False,
    data: Annotated[bool, typer.Option("--data", help="The DATA of instances that are gone too.")] = False,
    yes: Yes = False,
) -> Report:
    """Remove what instances left whose folder is gone; ask first.

    Their data is kept without --data. An instance that is there is never touched. --instance and --engine narrow it.

    \b
    Examples:
      stackctl prune --dry-run
      stackctl prune
    """
    from stack.commands.prune import prune

    return prune(session.settings, session.progress, session.asking("prune", yes), data, dry_run)


@command(app.command("render"))
def render(session: Session) -> Report:
    """Print the configuration that `up` would use.

    It is a Compose file, or that of supervisord for the embedded engine. It needs no Docker and changes nothing.
    """
    from stack.commands.render import render

    return render(session.settings)


@command(app.command("env"))
def env(session: Session) -> Report:
    """Print variables for the engine's own tools.

    With them plain `docker compose` works on the instance; with the embedded engine `psql` and `redis-cli` do.

    \b
    Example:
      eval "$(stackctl env)" && docker compose ps
    """
    from stack.commands.env import env

    return env(session.settings)


@command(app.command("version"))
def version(session: Session) -> Report:
    """Show the versions of stackctl and Python."""
    from stack.commands.version import version

    return version()


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code. What goes wrong before a command runs is told in the same way."""
    words = sys.argv[1:] if arguments is None else arguments
    own = words[: words.index("--")] if "--" in words else words
    if _PROGRAM:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(words, prog_name="stackctl", standalone_mode=False)
    except typer.TyperException as error:
        return fail(_usage(error), None, "--json" in own, "--debug" in own)
    except (typer.Abort, KeyboardInterrupt):  # the latter while the commands are still put together
        return int(ExitCode.INTERRUPTED)
    finally:
        if _PROGRAM:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code if isinstance(code, int) else int(ExitCode.DONE)


def _usage(error: typer.TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "stackctl"
    return UsageError(error.format_message(), f"`{where} --help` shows what there is")


def _terminate(number: int, frame: object) -> NoReturn:
    """A polite kill ends like Ctrl-C: what was started is ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
