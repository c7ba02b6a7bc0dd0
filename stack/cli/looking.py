"""Commands that show an instance, and change nothing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stack.cli.app import app, inspect_app
from stack.cli.components import BY_NAME, component_names
from stack.cli.moments import moment, regular_expression
from stack.cli.options import (
    Key,
    Name,
    Query,
    Session,
    Until,
    command,
)
from stack.cli.progress import redrawing
from stack.cli.terminal import Output, style, write_log_line
from stack.errors import UsageError
from stack.report import Report


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


@command(app.command("ps"))
def ps(session: Session) -> Report[object]:
    """Show the state and health of each component: the same as `status`.

    \b
    Examples:
      stackctl ps
    """
    from stack.commands.status import status

    return replace(status(session.settings), command="ps")


@command(app.command("open"))
def open_page(
    session: Session,
    component: Annotated[
        str | None,
        typer.Argument(
            metavar="[COMPONENT]", help="Which, such as web or search.console.", autocompletion=component_names
        ),
    ] = None,
    print_only: Annotated[bool, typer.Option("--print", help="Only print the URL.")] = False,
) -> Report[object]:
    """Open the page of the app in the browser, and print its URL.

    Without a browser or a display it only prints the URL.

    \b
    Examples:
      stackctl open
      stackctl open mail
      stackctl open --print
    """
    from stack.cli.browser import browse
    from stack.commands.open import open_page

    return open_page(session.settings, component, None if print_only else browse)


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
    following: Annotated[bool, typer.Option("--follow", "-f", help="Follow the logs until Ctrl-C.")] = False,
    tail: Annotated[int | None, typer.Option("--tail", "-n", min=0, metavar="N", help="Only the last N lines.")] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Only lines from then on: 10m ago, or 2026-01-02T15:04."),
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that match; (?i) first ignores case.")
    ] = None,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Show when each line was written, if that is known.")
    ] = False,
) -> Report[object]:
    """Show the logs of the components.

    On Docker the lines of several are in the order of their times. The embedded engine knows the time of a line only
    if the line says it, and --since shows all that may be younger. --follow --json prints an object for each line.

    \b
    Examples:
      stackctl logs
      stackctl logs -f web
      stackctl logs --tail 20 db cache
      stackctl logs --since 10m --grep "ERROR|FATAL"
    """
    from datetime import datetime

    from stack.commands.logs import LogOptions, follow, logs

    begin = None if since is None else moment("--since", since, datetime.now().astimezone())
    options = LogOptions(tail, begin, None if grep is None else regular_expression("--grep", grep), timestamps)
    if following:
        return follow(session.settings, components or [], options, style(), write_log_line, session.json)
    return logs(session.settings, components or [], options)


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
