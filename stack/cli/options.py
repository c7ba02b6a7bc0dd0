"""The options of the command line: those of every command, and those that several share."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from stack.cli import terminal
from stack.cli.invocation import Invocation
from stack.cli.outcome import conclude
from stack.cli.progress import Shown
from stack.report import Report
from stack.settings import Settings

Port = Annotated[
    list[str] | None,
    typer.Option(
        "--port", metavar="[NAME=]PORT", help="The port on this machine, or auto: a free one. It is remembered."
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long the components may take to get ready.")
]
Until = Literal["ready", "down"]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoSnapshot = Annotated[bool, typer.Option("--no-snapshot", help="Do not save first what is there; no undo then.")]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Go on without what can't be brought along; else it is only named.")
]
Database = Annotated[
    str | None, typer.Option("--db", metavar="NAME", help="Which database component, where there are several.")
]
Dump = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; - or nothing: standard output.")]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="What; - is standard input.")]
SnapshotName = Annotated[str | None, typer.Argument(metavar="NAME", help="One of `snapshot list`.")]
SnapshotFile = Annotated[Path | None, typer.Option("--input", "-i", metavar="FILE", help="One in a file.")]
Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Which component, where there are several.")]


_TAKE_A_VALUE = ("--file", "-f", "--instance", "--engine")


class CommandInComponent(TyperCommand):
    """`exec`: what follows SERVICE is the command, but for options before a `--`: no program has such a name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, options_first(args))


def options_first(args: list[str]) -> list[str]:
    """`db --json -- true` as `--json db -- true`."""
    words = args[: args.index("--")] if "--" in args else []
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _TAKE_A_VALUE else 1
    if at + 1 >= len(words) or not words[at + 1].startswith("-"):
        return args
    return [*words[:at], *words[at + 1 :], words[at], *args[len(words) :]]


class Shared:
    """The options of every command, which may stand before the command or after it."""

    file = Annotated[Path | None, typer.Option("--file", "-f", metavar="PATH", help="A stack file to use instead.")]
    # `-f` follows in `logs`, as everywhere.
    long_file = Annotated[Path | None, typer.Option("--file", metavar="PATH", help="A stack file to use instead.")]
    instance = Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Which copy of the stack.")]
    engine = Annotated[
        str | None,
        typer.Option("--engine", metavar="NAME", help="compose, embedded, or auto: Docker if it answers."),
    ]
    json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
    debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True)
class Session:
    """What the shared options say, and where progress goes."""

    settings: Settings
    progress: Shown
    json: bool
    invocation: Invocation

    def asking(self, command: str, yes: bool, verb: str = "Delete") -> Callable[[str], bool]:
        """Give what shows what will be done and asks, unless `yes`."""
        confirm = terminal.confirmation(command, yes, verb)

        def ask(announcement: str) -> bool:
            # What moves may not move over the question.
            self.progress.close()
            return confirm(self.invocation.text(announcement))

        return ask


def command(register: Callable[[Callable[..., None]], object], short_file: bool = True) -> Callable[..., Any]:
    """Register a function `(session, …) -> Report` as a command that also takes the shared options."""

    def decorate(function: Callable[..., Report]) -> Callable[..., Report]:
        @functools.wraps(function)
        def run(context: typer.Context, **values: Any) -> None:
            outer: Mapping[str, Any] = context.obj or {}
            shared = {key: values.pop(key) or outer.get(key) for key in ("file", "instance", "engine", "json", "debug")}
            if context.invoked_subcommand:
                context.obj = shared
                return

            def operate() -> Report:
                return function(_session(shared, progress, invocation), **values)

            progress = terminal.progress()
            invocation = Invocation(shared["file"], shared["instance"], shared["engine"])
            as_json, debug = bool(shared["json"]), bool(shared["debug"])
            raise typer.Exit(conclude(operate, _full_name(context), progress, as_json, debug, invocation))

        own = inspect.signature(function, eval_str=True).parameters
        run.__signature__ = _signature(own, short_file)  # type: ignore[attr-defined]
        register(run)
        return function

    return decorate


def _signature(own: Mapping[str, inspect.Parameter], short_file: bool) -> inspect.Signature:
    def option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(name, kind, annotation=annotation, default=default)

    parameters = [option("context", typer.Context, inspect.Parameter.empty)]
    parameters += [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for name, parameter in own.items() if name != "session"
    ]
    parameters += [
        option("file", Shared.file if short_file else Shared.long_file, None),
        option("instance", Shared.instance, None),
        option("engine", Shared.engine, None),
        option("json", Shared.json, False),
        option("debug", Shared.debug, False),
    ]
    return inspect.Signature(parameters)


def _session(shared: Mapping[str, Any], progress: Shown, invocation: Invocation) -> Session:
    settings = Settings.read(os.environ, Path.cwd(), shared["file"], shared["instance"], shared["engine"])
    return Session(settings, progress, bool(shared["json"]), invocation)


def _full_name(context: typer.Context) -> str:
    """`inspect db`: the words of the command, without the program's name."""
    return context.command_path.partition(" ")[2]
