"""Commands that write a stack file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stack.cli.app import app
from stack.cli.options import Session, command
from stack.errors import UsageError
from stack.report import Report


@command(app.command("init"))
def init(
    session: Session,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The Compose file, like docker-compose.yml.")
    ] = None,
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="More Compose files, which change the first.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: stackfile.py beside the first.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a stack file that exists.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare what it renders to with what Compose reads, field by field.")
    ] = False,
) -> Report[object]:
    """Write a stack file from a Docker Compose project.

    It says what it kept, what the engine does by itself, what it decided, and what it lost; it exits 3 if anything was.
    It reads the project with Docker Compose, or with its parser (`pip install 'stackctl[import]'`).

    \b
    Examples:
      stackctl init --from docker-compose.yml
      stackctl init --from compose.yaml compose.override.yaml --verify
    """
    if source is None:
        raise UsageError("init needs a file to begin with", "`stackctl init --from docker-compose.yml`")
    from stack.commands.init import init

    return init(Path.cwd(), [source, *(more or [])], output, force, verify)
