"""Names of a stack on the command line: complete them in a shell, and let `inspect` take one as its command."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from stack.model import Stack

# The command that gets the name; no component has such a name.
BY_NAME = "COMPONENT"
BY_BRANCH = "NAME"
_LIMIT = 2.0


class NameGroup(TyperGroup):
    """A group whose first word that is no command of its own is a name: that of an argument of the one `by_name`."""

    by_name = BY_NAME

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = not args or args[0] in self.commands
        return super().resolve_command(ctx, args if known else [self.by_name, *args])


class BranchGroup(NameGroup):
    """`branch`: such a word is the name of a branch to make."""

    by_name = BY_BRANCH


class InspectGroup(NameGroup):
    """`inspect`: such a word is the name of a component."""

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        found = super().shell_complete(ctx, incomplete)
        item, own = type(super().shell_complete(ctx, "")[0]), list(self.commands)
        return [*found, *(item(name) for name in client_names(ctx, incomplete) if name not in own)]


def component_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of any component."""
    return _names(context, incomplete, lambda stack: stack.names)


def client_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a component that has a client."""
    return _names(context, incomplete, lambda stack: [each.name for each in stack if each.client is not None])


def group_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a group of components."""
    return _names(context, incomplete, lambda stack: stack.groups)


def port_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a published port, up to the number."""
    from stack.instance import default_ports

    return _names(context, incomplete, lambda stack: [f"{port.typed}=" for port in default_ports(stack)])


def _names(context: typer.Context, incomplete: str, names: Callable[[Stack], Iterable[str]]) -> list[str]:
    """A declaration that can't be read has no names: a completion writes no errors."""
    from stack.declaration import load_stack
    from stack.errors import StackError
    from stack.settings import Settings

    with contextlib.suppress(StackError, OSError):
        settings = Settings.read(os.environ, Path.cwd(), _file(context), None, None)
        return [name for name in names(load_stack(settings.file, _LIMIT)) if name.startswith(incomplete)]
    return []


def _file(context: Any) -> Path | None:
    """Return the stack file that is named before or after the command."""
    while context is not None:
        if found := context.params.get("file"):
            return Path(found)
        context = context.parent
    return None
