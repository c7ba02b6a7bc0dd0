"""Commands that run something in a component."""

from __future__ import annotations

from typing import Annotated

import typer

from stack.cli.app import app
from stack.cli.components import client_names, component_names
from stack.cli.options import (
    CommandForComponent,
    CommandInComponent,
    Session,
    command,
)
from stack.cli.terminal import note
from stack.errors import UsageError
from stack.report import Report


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


@command(
    app.command(
        "run",
        cls=CommandForComponent,
        context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
    )
)
def run(
    session: Session,
    component: Annotated[
        str,
        typer.Argument(metavar="COMPONENT", help="The component, such as web.", autocompletion=component_names),
    ],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="The command and its arguments.")],
    local: Annotated[
        bool, typer.Option("--local", help="Run it as a process of this machine; COMPONENT may be left out.")
    ] = False,
) -> Report[object]:
    """Run a command in a container of its own, with all that a component has.

    It has the image, variables, secrets, networks and volumes of the component, but not its ports, and is removed at
    the end. On the embedded engine it is a process. The component need not run, but what it uses does.
    With --local it is a process in this directory, with this shell's own environment and the variables of the
    component, whose addresses are reached from this machine.
    It passes on the exit code of the command. It is interactive on a terminal; otherwise the output can be piped.

    \b
    Examples:
      stackctl run web -- python manage.py createsuperuser
      stackctl run --local -- pytest
      stackctl run --local web -- python manage.py makemigrations
    """
    argv = command[1:] if command[0] == "--" else command
    if not argv:
        raise UsageError(
            "run: there is no command after --", "for example: `stackctl run web -- python manage.py shell`"
        )
    if local:
        from stack.commands.run_local import run_local

        return run_local(session.settings, component or None, argv, session.json)
    from stack.commands.run import run

    if not component:
        raise UsageError(
            "run: no component is named before --", "for example: `stackctl run web -- python manage.py shell`"
        )
    return run(session.settings, component, argv, session.json, lambda text: note(session.invocation.text(text)))


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
