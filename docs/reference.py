"""Write docs/components.md from the docstrings of the public classes, and docs/command-line.md from the help texts."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

import stack  # noqa: E402
from stack.cli.app import TOPICS, module_of, whole  # noqa: E402
from stack.component import Component  # noqa: E402
from stack.program import Program  # noqa: E402

_COMPONENTS = """# Reference of components

Generated from the docstrings by `make reference`; a test compares the two. All names are imported from `stack`; the
stack file assigns a `Stack` to `stack`. [Your own stack](your-own-stack.md) introduces them one by one.
"""
_COMMANDS = """# Reference of commands

Generated from the help texts by `make reference`; a test compares the two. [Commands](commands.md) shows what they are
for.
"""
# The stack first, what is common to many last.
_ORDER = (
    "Stack", "WebApp", "Worker", "Job", "Schedule", "Container", "Postgres", "Redis", "CachedValue", "Mail", "Bucket",
    "Proxy", "Volume", "External", "Parameter",
)  # fmt: skip
_SHARED = ("file", "instance", "engine", "host", "json", "debug")


def components() -> str:
    """Return the page about what a stack file declares."""
    kinds = [getattr(stack, name) for name in _ORDER]
    sections = [_kind(kind) for kind in kinds]
    program = f"## Program\n\nWhat a `WebApp`, `Worker`, `Job` and `Container` have in common.\n\n{_body(Program)}"
    checks = [_function(function) for function in (stack.health.http, stack.health.tcp, stack.health.command)]
    health = "\n\n".join(
        ["## health", 'How a `Container` is asked whether it works: `health=health.http("/ready")`.', *checks]
    )
    return "\n\n".join([_COMPONENTS.strip(), *sections, program, health]) + "\n"


def _kind(kind: Any) -> str:
    return f"## {kind.__name__}\n\n{_body(kind)}".replace("each `Program` has", "each [Program](#program) has")


def _body(kind: Any) -> str:
    text = inspect.getdoc(kind) or ""
    summary, _, rest = text.partition("\n\n")
    exported = "".join(f"\n- `{name}`: {text}" for name, text in _properties(kind))
    refers = f"\n\nOther components refer to:\n{exported}" if exported else ""
    return "\n\n".join(filter(None, [summary, f"```text\n{_signature(kind)}\n```", rest.strip()])) + refers


def _signature(kind: Any) -> str:
    """Return the fields of a kind that no shared base has, with types and defaults."""
    built_on_program = issubclass(kind, Program) and kind is not Program
    shared = {field.name for field in dataclasses.fields(Program)} if built_on_program else set()
    lines = []
    for name, each in inspect.signature(kind.__init__).parameters.items():
        if name == "self" or name in shared - {"name", "source", "image"}:
            continue
        default = "" if each.default is each.empty else f" = {_default(kind, name, each.default)}"
        lines.append(f"    {name}: {_annotation(each.annotation)}{default},")
    return "\n".join([f"{kind.__name__}(", *lines, ")"])


def _default(kind: Any, name: str, default: Any) -> str:
    if not dataclasses.is_dataclass(kind):
        return repr(default)
    for field in dataclasses.fields(kind):
        if field.name == name and field.default_factory is not dataclasses.MISSING:
            return repr(field.default_factory())
    return repr(default)


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:typing|collections\.abc|stack(?:\.\w+)*)\.", "", text)


def _properties(kind: Any) -> Iterator[tuple[str, str]]:
    """Give what others refer to, with the first line of its docstring."""
    if not issubclass(kind, Component):
        return
    for name, member in inspect.getmembers(kind, lambda member: isinstance(member, property)):
        text = inspect.getdoc(member) or ""
        if text.startswith("Refer to "):
            yield name, text.removeprefix("Refer to ").splitlines()[0]


def _function(function: Any) -> str:
    return f"### health.{function.__name__}\n\n```text\n{_call(function)}\n```\n\n{inspect.getdoc(function)}"


def _call(function: Any) -> str:
    parameters = [
        f"{name}: {_annotation(each.annotation)}" + ("" if each.default is each.empty else f" = {each.default!r}")
        for name, each in inspect.signature(function).parameters.items()
    ]
    return f"health.{function.__name__}({', '.join(parameters)})"


def commands() -> str:
    """Return the page about the command line."""
    group: Any = typer.main.get_command(whole())
    context = typer.Context(group, info_name="stackctl")
    sections = [f"## Options of every command\n\n{_options(group.commands['status'], _SHARED, context)}"]
    for module, topic in TOPICS.items():
        sections.append(f"## {topic.title}")
        for name, command in group.commands.items():
            if module_of(command) == module:
                sections += _command(f"stackctl {name}", command, context)
    return "\n\n".join([_COMMANDS.strip(), *sections]) + "\n"


def _command(path: str, command: Any, context: Any) -> Iterator[str]:
    own = [each.name for each in command.params if each.name not in (*_SHARED, "help")]
    yield f"### {path}"
    usage = " ".join([path, *command.collect_usage_pieces(typer.Context(command, parent=context, info_name=path))])
    yield f"```text\n{usage}\n```"
    yield _help(command.help or "")
    if own:
        yield _options(command, own, context)
    for name, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from _command(f"{path} {name}", each, context)


def _help(text: str) -> str:
    """Return a help text as Markdown: its examples are a block of code."""
    told, _, examples = inspect.cleandoc(text).partition("\b\n")
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    block = "\n".join(["```console", *lines, "```"]) if lines else ""
    return "\n\n".join(filter(None, [told.strip(), block]))


def _options(command: Any, names: Any, context: Any) -> str:
    rows = []
    for each in command.params:
        if each.name not in names or getattr(each, "hidden", False):
            continue
        made = (
            each.make_metavar(context)
            if each.param_type_name == "argument" or not getattr(each, "is_flag", False)
            else ""
        )
        label = made if each.param_type_name == "argument" else f"{', '.join(each.opts)} {made}".strip()
        rows.append(f"| `{label}` | {(each.help or '').replace('|', chr(92) + '|')} |")
    return "\n".join(["| | |", "|---|---|", *rows])


PAGES = {"components.md": components, "command-line.md": commands}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
