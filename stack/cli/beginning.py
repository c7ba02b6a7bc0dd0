"""Commands that write a stack file to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from stack.cli.app import app
from stack.cli.options import Session, command
from stack.cli.terminal import asking
from stack.errors import Interrupted, UsageError
from stack.report import Report


@command(app.command("init"))
def init(
    session: Session,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A Compose file, like docker-compose.yml; or a Procfile."),
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="More Compose files, which change the first.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stackfile.py beside the first.")
    ] = None,
    template: Annotated[
        Literal["flask", "fastapi", "django", "node"] | None,
        typer.Option("--template", metavar="KIND", help="flask, fastapi, django or node; else what is here, or asked."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The name of the stack; else that of the directory.")
    ] = None,
    data: Annotated[
        Literal["postgres", "redis", "both", "none"] | None,
        typer.Option("--data", metavar="DATA", help="postgres, redis, both or none. Default: postgres."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a stack file that exists.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what it renders to with what Compose reads, field by field.")
    ] = False,
    adopted: Annotated[
        str | None,
        typer.Option("--adopt", metavar="PROJECT", help="Begin the instance with the data of this Compose project."),
    ] = None,
) -> Report[object]:
    """Write a stack file: for the app in this directory, from a Docker Compose project, or from a Procfile.

    Without --from it looks at the app that is here, asks what it can't see, and adds a Dockerfile if there is none; in
    an empty directory it writes a first app too. With a Compose file it says what it kept, what the engine does by
    itself, what it decided, and what it lost; it exits 3 if anything was. It reads the project with Docker Compose, or
    with its parser (`pip install 'stackctl[import]'`).

    With --adopt it writes no file: it begins the instance of the stack file with a copy of the data of a Compose
    project, running or stopped, compared row by row. The project stays as it is.

    \b
    Examples:
      stackctl init
      stackctl init --template django --name shop --data both
      stackctl init --from Procfile
      stackctl init --from docker-compose.yml
      stackctl init --from compose.yaml compose.override.yaml --verify
      stackctl init --adopt shop
    """
    if adopted is not None:
        if source or more or output or force or verify or template or name or data:
            raise UsageError(
                "init --adopt writes no stack file", "leave everything else out; first `stackctl init --from`"
            )
        from stack.commands.init_adopt import adopt

        return adopt(session.settings, session.progress, adopted)
    with _writing():
        if source is None or source.name.startswith("Procfile"):
            if verify or more:
                raise UsageError("init: --verify and more files are for a Compose file", "leave them out")
            from stack.commands.init_project import init_procfile, init_project

            if source is not None:
                _check_alone(template, name)
                return init_procfile(Path.cwd(), source, output, force, data)
            return init_project(Path.cwd(), template, name, data, output, force, asking())
        _check_alone(template, name, data)
        from stack.commands.init import init

        return init(Path.cwd(), [source, *(more or [])], output, force, verify)


@contextmanager
def _writing() -> Iterator[None]:
    """Say on Ctrl-C that nothing was written: all of a project is, or nothing."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise Interrupted("nothing was written", "run it again") from interrupt


def _check_alone(*given: str | None) -> None:
    if any(each is not None for each in given):
        raise UsageError("init: --template, --name and --data are for an app without --from", "leave them out")
