"""Options of the command line: those of every command, and those that several commands share."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from stack.cli import terminal
from stack.cli.components import BY_BRANCH, BY_NAME, client_names, component_names, group_names, port_names
from stack.cli.invocation import Invocation
from stack.cli.outcome import run_and_report
from stack.cli.parameters import chosen
from stack.cli.progress import Shown
from stack.frozen import dataclass
from stack.parameters import Parameter
from stack.report import Report
from stack.settings import Settings

With = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="GROUP", autocompletion=group_names, help="Turn a group on, and leave it on from now on."
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="GROUP", autocompletion=group_names, help="Turn a group off; keep its data."),
]
Components = Annotated[
    list[str] | None,
    typer.Argument(metavar="[COMPONENT]...", help="Only these components.", autocompletion=component_names),
]
Publish = Annotated[
    list[str] | None,
    typer.Option(
        "--publish",
        metavar="COMPONENT",
        autocompletion=component_names,
        help="Publish the ports of a component on this machine too, from now on: those of a database, for a client.",
    ),
]
Unpublish = Annotated[
    list[str] | None,
    typer.Option(
        "--unpublish", metavar="COMPONENT", autocompletion=component_names, help="Undo --publish for a component."
    ),
]
Port = Annotated[
    list[str] | None,
    typer.Option(
        "--port",
        metavar="[NAME=]PORT",
        autocompletion=port_names,
        help="The port on this machine, or auto for a free one. NAME: web, or search.http. It is remembered.",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter; it is remembered. A secret: NAME=@FILE, or NAME=@- for input.",
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait until the components are ready.")
]
Until = Literal["ready", "down"]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoSnapshot = Annotated[
    bool, typer.Option("--no-snapshot", help="Do not save the current data first; there is no undo then.")
]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Continue without what the target does not support, instead of refusing.")
]
Database = Annotated[
    str | None, typer.Option("--db", metavar="COMPONENT", help="Which database, if there are several.")
]
Dump = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The target; - or nothing for standard output.")]
BranchName = Annotated[str, typer.Argument(metavar="NAME", help="The branch, which is an instance of this name.")]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="The source; - for standard input.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit 3 if the engine does not do all that is declared, and change nothing.")
]
SnapshotName = Annotated[str | None, typer.Argument(metavar="NAME", help="A name from `snapshot list`.")]
SnapshotFile = Annotated[Path | None, typer.Option("--input", "-i", metavar="FILE", help="Use a snapshot in a file.")]
Name = Annotated[
    str | None,
    typer.Argument(metavar="COMPONENT", help="Which component, if there are several.", autocompletion=client_names),
]
Query = Annotated[str | None, typer.Option("--query", "-q", metavar="SQL", help="Run this query instead.")]
Key = Annotated[str | None, typer.Option("--key", "-k", metavar="KEY", help="Show this key instead.")]


_TAKE_A_VALUE = ("--file", "-f", "--instance", "--engine", "--host")


class CommandInComponent(TyperCommand):
    """`exec`: after COMPONENT comes the command. Options between them and before a `--` are those of stackctl."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, options_first(args))


class CommandByName(TyperCommand):
    """One whose argument stands in the place of its own name."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [self.options_metavar or ""]


class CommandForComponent(CommandInComponent):
    """`run`: the component may be left out before a `--`; it is empty text then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ordered = options_first(args)
        front = ordered[: ordered.index("--")] if "--" in ordered else None
        at = 0
        while front is not None and at < len(front) and front[at].startswith("-"):
            at += 2 if front[at] in _TAKE_A_VALUE else 1
        if front is not None and at >= len(front):
            ordered = [*front, "", *ordered[len(front) :]]
        return super().parse_args(ctx, ordered)


def options_first(args: list[str]) -> list[str]:
    """Move options in front of the component: `db --json -- true` becomes `--json db -- true`."""
    front = args[: args.index("--")] if "--" in args else []
    at = 0
    while at < len(front) and front[at].startswith("-"):
        at += 2 if front[at] in _TAKE_A_VALUE else 1
    if at + 1 >= len(front) or not front[at + 1].startswith("-"):
        return args
    return [*front[:at], *front[at + 1 :], front[at], *args[len(front) :]]


SHARED = ("file", "instance", "engine", "host", "json", "debug")
_FILE = "The stack file. Default: stackfile.py here, else the playground."


class Shared:
    """The options of every command, allowed before or after it."""

    file = Annotated[Path | None, typer.Option("--file", "-f", metavar="PATH", help=_FILE)]
    # In `logs`, `-f` means --follow, as in other tools.
    long_file = Annotated[Path | None, typer.Option("--file", metavar="PATH", help=_FILE)]
    instance = Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Which instance of the stack.")]
    engine = Annotated[
        str | None,
        typer.Option(
            "--engine", metavar="ENGINE", help="compose, embedded, swarm, or auto: Docker if it is available."
        ),
    ]
    host = Annotated[
        str | None,
        typer.Option(
            "--host",
            metavar="HOST",
            help="The server to run on: ssh://user@name, or a docker context that leads to one.",
        ),
    ]
    json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
    debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True)
class Session:
    """The values of the shared options, and where progress goes."""

    settings: Settings
    progress: Shown
    json: bool
    invocation: Invocation

    def asking(
        self, command: str, yes: bool, verb: str = "Delete", instance: str | None = None
    ) -> Callable[[str], bool]:
        """Return a function that shows what will be done, to `instance` if another is named, and asks unless `yes`."""
        confirm = terminal.confirmation(command, yes, verb)

        def ask(announcement: str) -> bool:
            # Live progress must not overwrite the question.
            self.progress.close()
            return confirm(self.invocation.acting_on(instance).text(announcement))

        return ask

    def given(self, texts: list[str] | None) -> Settings:
        """Return the settings with the parameters of the command line."""
        return replace(self.settings, chosen=chosen(texts or ()))

    def question(self) -> Callable[[Parameter], str | None]:
        """Return a function that asks for the value of a parameter on the terminal."""

        def ask(parameter: Parameter) -> str | None:
            self.progress.close()
            return terminal.ask_for(parameter)

        return ask


def command(register: Callable[[Callable[..., None]], object], short_file: bool = True) -> Callable[..., Any]:
    """Register a function `(session, …) -> Report` as a command that also takes the shared options."""

    def decorate(function: Callable[..., Report[object]]) -> Callable[..., Report[object]]:
        @functools.wraps(function)
        def run(context: typer.Context, **values: Any) -> None:
            outer: Mapping[str, Any] = context.obj or {}
            shared = {key: values.pop(key) or outer.get(key) for key in SHARED}
            if context.invoked_subcommand:
                context.obj = shared
                return

            def operate() -> Report[object]:
                return function(_session(shared, progress, invocation), **values)

            progress = terminal.progress()
            invocation = Invocation(shared["file"], shared["instance"], shared["engine"], shared["host"])
            as_json, debug = bool(shared["json"]), bool(shared["debug"])
            raise typer.Exit(run_and_report(operate, _full_name(context), progress, as_json, debug, invocation))

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
        option("host", Shared.host, None),
        option("json", Shared.json, False),
        option("debug", Shared.debug, False),
    ]
    return inspect.Signature(parameters)


def _session(shared: Mapping[str, Any], progress: Shown, invocation: Invocation) -> Session:
    settings = Settings.read(
        os.environ, Path.cwd(), shared["file"], shared["instance"], shared["engine"], shared["host"]
    )
    return Session(settings, progress, bool(shared["json"]), invocation)


def _full_name(context: typer.Context) -> str:
    """Return the command without the program's name, and without a name in its place: `inspect db`, `inspect`."""
    return context.command_path.partition(" ")[2].removesuffix(f" {BY_NAME}").removesuffix(f" {BY_BRANCH}")
