"""The list of commands: each parses its options and calls one operation. Nothing is decided here."""

from __future__ import annotations

import signal
import sys

# Until the imports are done, and after the last output, Ctrl-C ends the program without a traceback.
_PROGRAM = sys.argv[0].endswith(("stackctl", "stackctl.py")) and (
    signal.getsignal(signal.SIGINT) is signal.default_int_handler
)
if _PROGRAM:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from stack.cli.components import BY_NAME, InspectGroup, client_names, component_names
from stack.cli.options import (
    AcceptLoss,
    CommandInComponent,
    Database,
    Dump,
    Key,
    Name,
    NoSnapshot,
    Parameters,
    Port,
    Query,
    Session,
    Shared,
    SnapshotFile,
    SnapshotName,
    Source,
    Timeout,
    Until,
    With,
    Without,
    Yes,
    command,
)
from stack.cli.outcome import report_error
from stack.cli.progress import redrawing
from stack.cli.terminal import Output, style, write_foreign
from stack.errors import ExitCode, UsageError
from stack.report import Report
from stack.version import __version__

_HELP = """Start and manage a web app, its PostgreSQL and its Redis.

Commands act on the stack file that --file names, else on stackfile.py in this directory, else on the bundled
playground, a visit counter. A stack file is plain Python:

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
inspect_app = typer.Typer(rich_markup_mode=None, cls=InspectGroup)
app.add_typer(inspect_app, name="inspect")
snapshot_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Save and restore the data.")
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
    parameters: Parameters = None,
    on: With = None,
    off: Without = None,
    timeout: Timeout = 120,
    saved: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Apply this saved plan; refuse if anything changed since."),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Restore the previous version if the new one fails.")
    ] = False,
    system_binaries: Annotated[
        bool, typer.Option("--use-system-binaries", help="Embedded: use the servers on PATH.")
    ] = False,
) -> Report[object]:
    """Build and start everything, and print its address.

    Another `up` applies only what changed in the declaration, and always keeps the data. `plan` previews it.

    \b
    Examples:
      stackctl up
      stackctl up --port 8080
      stackctl up --port auto
      stackctl up --set LOG_LEVEL=debug --set STRIPE_KEY=@stripe.key
      stackctl up --with tools
      stackctl up --instance review
      stackctl up --engine embedded
    """
    from stack.commands.up import up
    from stack.workflow.asked import Groups
    from stack.workflow.converge import UpOptions

    options, groups = UpOptions(timeout, saved, rollback), Groups(on or (), off or ())
    settings = session.given(parameters)
    return up(settings, session.progress, _ports(port or []), system_binaries, options, session.question(), groups)


@command(app.command("plan"))
def plan(
    session: Session,
    parameters: Parameters = None,
    on: With = None,
    off: Without = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 if something would change.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Save the plan for `up --plan FILE`.")
    ] = None,
) -> Report[object]:
    """Show what `up` would do, why, and what happens to the data.

    It changes nothing. Manual changes are marked as drift.

    \b
    Examples:
      stackctl plan
      stackctl plan --exit-code
      stackctl plan --with tools
      stackctl plan --output next.json && stackctl up --plan next.json
    """
    from stack.commands.plan import plan
    from stack.workflow.asked import Groups

    return plan(session.given(parameters), exit_code, output, Groups(on or (), off or ()))


def _ports(texts: list[str]) -> dict[str | None, int | Literal["auto"]]:
    """`8080` → {None: 8080}; `web=8080` → {"web": 8080}; `search.http=auto` → {"search.http": "auto"}."""
    ports: dict[str | None, int | Literal["auto"]] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if (name or None) in ports:
            raise UsageError(f"--port is given twice{f' for {name}' if name else ''}", "leave one of them out")
        if number == "auto" and (name or not equals):
            ports[name or None] = "auto"
            continue
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 65535 or (equals and not name):
            raise UsageError(
                f"--port: {text!r} is not a port (1-65535)",
                "write --port 8080, --port web=8080, --port search.http=8080 or --port auto",
            )
        ports[name or None] = int(number)
    return ports


@command(app.command("status"))
def status(
    session: Session,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Redraw it every second until Ctrl-C.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 unless everything is up.")] = False,
) -> Report[object]:
    """Show the state and health of each component.

    It sends each app a request at its health path. It exits 0 in every case, unless you pass --exit-code.

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
def wait(session: Session, timeout: Timeout = 120) -> Report[object]:
    """Wait until everything is ready.

    It exits 0 once all components are healthy and a real request was answered, and 1 on failure or timeout. It starts
    nothing itself.

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
        Until | None, typer.Option("--until", help="Stop when the instance is ready, or when nothing of it runs.")
    ] = None,
) -> Report[object]:
    """Print changes as JSON lines until Ctrl-C.

    It prints the state of each component, then each change of state or health and each restart.

    \b
    Examples:
      stackctl events
      stackctl events --until ready | jq .component
    """
    from stack.commands.events import events

    if session.json:
        raise UsageError("events prints JSON lines, and --json is one object", "leave --json out")
    return events(session.settings, Output(), until)


@command(inspect_app.callback(invoke_without_command=True))
def inspect(session: Session) -> Report[object]:
    """Show what PostgreSQL and Redis hold: all of them, or the component that is named.

    \b
    Examples:
      stackctl inspect
      stackctl inspect orders --query "SELECT count(*) FROM lines"
      stackctl inspect db --query "SELECT count(*) FROM visit_counter"
      stackctl inspect cache --key visit_counter:about
    """
    from stack.commands.inspect import inspect

    return inspect(session.settings)


@command(inspect_app.command("db"))
def inspect_db(
    session: Session,
    name: Name = None,
    query: Query = None,
) -> Report[object]:
    """Show the rows of the declared table in PostgreSQL.

    They are read with psql in the component. If no table is declared, it lists the tables.

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
    key: Key = None,
) -> Report[object]:
    """Show the declared value in Redis, and whether PostgreSQL agrees.

    \b
    Examples:
      stackctl inspect cache
      stackctl inspect cache --key visit_counter:about
    """
    from stack.commands.inspect import inspect_one

    return inspect_one(session.settings, "cache", name, key)


@command(inspect_app.command(BY_NAME, hidden=True))
def inspect_component(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="COMPONENT", help="Which component.")],
    query: Query = None,
    key: Key = None,
) -> Report[object]:
    """Show what a component holds: a database its rows, a cache its keys."""
    from stack.commands.inspect import inspect_component

    return inspect_component(session.settings, name, query, key)


@command(app.command("logs"), short_file=False)
def logs(
    session: Session,
    components: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMPONENT]...", help="Only these components.", autocompletion=component_names),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow the logs until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=0, metavar="N", help="Only the last N lines.")] = None,
) -> Report[object]:
    """Show the logs of the components.

    \b
    Examples:
      stackctl logs
      stackctl logs -f web
      stackctl logs --tail 20 db cache
    """
    from stack.commands.logs import logs

    if follow and session.json:
        raise UsageError("logs --follow has no end, --json is one object", "leave one of them out")
    return logs(session.settings, components or [], tail, write_foreign if follow else None)


@command(
    app.command(
        "exec",
        cls=CommandInComponent,
        context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    )
)
def execute(
    session: Session,
    component: Annotated[
        str,
        typer.Argument(
            metavar="COMPONENT", help="The component, such as web, db or cache.", autocompletion=component_names
        ),
    ],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.")],
) -> Report[object]:
    """Run a command in a component.

    It passes on the exit code of the command. It is interactive on a terminal; otherwise the output can be piped.

    \b
    Examples:
      stackctl exec db -- psql -U student -d student_notes
      stackctl exec cache -- redis-cli DBSIZE
    """
    from stack.commands.exec import execute

    # Options after COMPONENT belong to the command, with or without `--`.
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise UsageError("exec: there is no command after --", "for example: `stackctl exec db -- psql --version`")
    return execute(session.settings, component, argv, capture=session.json)


@command(app.command("doctor"))
def doctor(
    session: Session,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write a zip for a bug report, with secrets redacted."),
    ] = None,
) -> Report[object]:
    """Check this machine and the instance.

    It says how to fix what is wrong, and changes nothing. It exits 1 if any check fails.

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


@command(app.command("stop"))
def stop(session: Session) -> Report[object]:
    """Stop the components; `start` starts them again."""
    from stack.commands.stop import stop

    return stop(session.settings, session.progress)


@command(app.command("start"))
def start(session: Session, timeout: Timeout = 120) -> Report[object]:
    """Start stopped components, and wait until they are ready."""
    from stack.commands.start import start

    return start(session.settings, session.progress, timeout)


@command(app.command("down"))
def down(session: Session) -> Report[object]:
    """Remove the components; keep the data.

    `stackctl up` creates them again.
    """
    from stack.commands.down import down

    return down(session.settings, session.progress)


@command(app.command("reset"))
def reset(
    session: Session, yes: Yes = False, no_snapshot: NoSnapshot = False, accept_loss: AcceptLoss = False
) -> Report[object]:
    """Delete everything, including the DATA; ask first.

    It says what it will delete. It first saves a snapshot of the databases and verifies it by restoring it once;
    `stackctl undo` restores the data. Without a terminal it needs --yes.

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


@command(app.command("shell"))
def shell(
    session: Session,
    name: Annotated[
        str,
        typer.Argument(
            metavar="COMPONENT", help="A database or a cache, such as db or cache.", autocompletion=client_names
        ),
    ],
    write: Annotated[bool, typer.Option("--write", help="psql: allow changes.")] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="psql: connect as the server's administrator, stackctl_admin.")
    ] = False,
) -> Report[object]:
    """Open psql on a database, read-only, or redis-cli on a cache.

    It passes on the exit code of the client. Without a terminal the client reads standard input.

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
        raise UsageError("shell is interactive, and --json is one object", "`stackctl inspect db --query SQL --json`")
    return shell(session.settings, name, write, admin)


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


def _one_of(command: str, name: str | None, source: Path | None) -> None:
    if (name is None) == (source is None):
        raise UsageError(
            f"{command}: which snapshot? A NAME or --input FILE", "`stackctl snapshot list` shows the names"
        )


@command(app.command("ls"))
def ls(
    session: Session,
    every: Annotated[
        bool, typer.Option("--all", help="Include those of other users and of test runs on this machine.")
    ] = False,
) -> Report[object]:
    """List your instances on this machine.

    It runs no stack file, so a broken or missing one does not matter. --instance and --engine filter the list.

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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    data: Annotated[bool, typer.Option("--data", help="Also delete the DATA of orphaned instances.")] = False,
    yes: Yes = False,
) -> Report[object]:
    """Remove what is left of orphaned instances; ask first.

    Orphaned are those whose directory is gone. Without --data their data is kept. An instance whose directory exists is
    never touched. --instance and --engine filter what is removed.

    \b
    Examples:
      stackctl prune --dry-run
      stackctl prune
    """
    from stack.commands.prune import prune

    return prune(session.settings, session.progress, session.asking("prune", yes), data, dry_run)


@command(app.command("render"))
def render(session: Session) -> Report[object]:
    """Print the configuration that `up` would use.

    It is a Compose file, or a supervisord configuration for the embedded engine. Needs no Docker and changes nothing.
    """
    from stack.commands.render import render

    return render(session.settings)


@command(app.command("env"))
def env(
    session: Session,
    component: Annotated[
        str | None,
        typer.Argument(
            metavar="[COMPONENT]", help="List its variables instead, with origins.", autocompletion=component_names
        ),
    ] = None,
) -> Report[object]:
    """Print variables for the engine's own tools, or list those of a component.

    The first make plain `docker compose` work on the instance, or on the embedded engine `psql` and `redis-cli`.
    With a COMPONENT it lists the variables with which the next `up` starts it, and where each is from: the declaration,
    a component that it uses, or the source of a parameter, like `.env line 7`. Secrets are shown as `***`.

    \b
    Examples:
      eval "$(stackctl env)" && docker compose ps
      stackctl env web
    """
    from stack.commands.env import env, env_of

    return env(session.settings) if component is None else env_of(session.settings, component)


@command(app.command("version"))
def version(session: Session) -> Report[object]:
    """Show the versions of stackctl and Python."""
    from stack.commands.version import version

    return version()


@command(app.command("schema"))
def schema(
    session: Session,
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="The command, such as status or snapshot list.")
    ],
) -> Report[object]:
    """Print the JSON schema of what a command prints with --json.

    \b
    Examples:
      stackctl schema status
      stackctl schema snapshot list
    """
    from stack.commands.schema import schema

    return schema(words)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code. Errors before a command runs are reported in the same way."""
    argv = sys.argv[1:] if arguments is None else arguments
    own = argv[: argv.index("--")] if "--" in argv else argv
    if _PROGRAM:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(argv, prog_name="stackctl", standalone_mode=False)
    except typer.TyperException as error:
        return report_error(_usage(error), None, "--json" in own, "--debug" in own)
    except (typer.Abort, KeyboardInterrupt):  # the latter while the commands are still being built
        return int(ExitCode.INTERRUPTED)
    finally:
        if _PROGRAM:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    return code if isinstance(code, int) else int(ExitCode.DONE)


def _usage(error: typer.TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "stackctl"
    return UsageError(error.format_message(), f"`{where} --help` shows the options and arguments")


def _terminate(number: int, frame: object) -> NoReturn:
    """Treat SIGTERM like Ctrl-C: child processes are ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
