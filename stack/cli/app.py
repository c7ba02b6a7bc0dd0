"""The program and its groups of commands, to which the modules beside it add theirs."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_name
from typer.models import CommandInfo, TyperInfo

from stack.cli.components import BranchGroup, InspectGroup
from stack.cli.options import Shared
from stack.frozen import dataclass
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


@dataclass(frozen=True)
class Topic:
    """A part of the help, and the commands of one module."""

    title: str
    commands: tuple[str, ...]


# The modules with commands, in the order of the help. A command loads its own module alone: the others would be a tenth
# of what a short one takes.
TOPICS = {
    "stack.cli.beginning": Topic("Begin", ("init",)),
    "stack.cli.lifecycle": Topic(
        "Start and stop",
        ("up", "watch", "plan", "update", "wait", "stop", "start", "restart", "down", "reset", "prune"),
    ),
    "stack.cli.looking": Topic(
        "Look",
        ("status", "ps", "open", "events", "inspect", "logs", "ls", "doctor", "render", "env", "version", "schema"),
    ),
    "stack.cli.entering": Topic("Work in a component", ("exec", "run", "shell")),
    "stack.cli.data": Topic(
        "Data",
        ("snapshot", "undo", "diff", "dump", "load", "seed", "upgrade", "move", "rotate", "failover"),
    ),
    "stack.cli.branching": Topic("Branches", ("branch",)),
}


class ByTopic(TyperGroup):
    """Lists the commands under the topic of their module."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section for each topic, with the commands in the order of their definition."""
        width = formatter.width - 6 - max(map(len, self.commands))
        for module, topic in TOPICS.items():
            rows = [
                (name, each.get_short_help_str(width))
                for name, each in self.commands.items()
                if module_of(each) == module
            ]
            with formatter.section(topic.title):
                formatter.write_dl(rows)


def module_of(listed: Any) -> str:
    """Return the module of a command; that of a group without an operation of its own is that of its commands."""
    while listed.callback is None:
        listed = next(iter(listed.commands.values()))
    return str(listed.callback.__module__)


app = typer.Typer(
    name="stackctl",
    cls=ByTopic,
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
branch_app = typer.Typer(
    rich_markup_mode=None, cls=BranchGroup, no_args_is_help=True, help="Copy a running instance into another one."
)
app.add_typer(branch_app, name="branch")


def whole() -> typer.Typer:
    """Return the program with all its commands."""
    for module in TOPICS:
        import_module(module)
    return app


def program(words: Sequence[str]) -> typer.Typer:
    """Return the program with no other command than the one that these words name, if they name one.

    Typer builds every command for each call, which takes as long as all else that it does.
    """
    alone = _with((), ())
    context = get_command(alone).make_context(str(app.info.name), [*words], resilient_parsing=True)
    named = [*context._protected_args, *context.args]
    before, name = words[: len(words) - len(named)], next(iter(named), None)
    module = next((each for each, topic in TOPICS.items() if name in topic.commands), None)
    if module is None or not set(context.help_option_names).isdisjoint(before):
        return whole()  # its help lists all commands, whatever comes after it
    import_module(module)
    commands = [each for each in app.registered_commands if _name(each) == name]
    groups = [each for each in app.registered_groups if each.name == name]
    return _with(commands, groups)


def _with(commands: Sequence[CommandInfo], groups: Sequence[TyperInfo]) -> typer.Typer:
    other = copy(app)
    other.registered_commands, other.registered_groups = [*commands], [*groups]
    return other


def _name(command: CommandInfo) -> str:
    return command.name or get_command_name(command.callback.__name__)  # type: ignore[union-attr]


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        print(f"stackctl {__version__}")
        raise typer.Exit


@app.callback()
def _outer(
    context: typer.Context,
    file: Shared.file = None,
    instance: Shared.instance = None,
    engine: Shared.engine = None,
    host: Shared.host = None,
    json: Shared.json = False,
    debug: Shared.debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    context.obj = {
        "file": file, "instance": instance, "engine": engine, "host": host, "json": json, "debug": debug,
    }  # fmt: skip
