"""Find secrets written as plain text in a stack file, where every reader of the file or its repository sees them."""

from __future__ import annotations

from stack.fields import is_secret_name
from stack.model import Stack

FIX = 'declare it as `Parameter("{variable}", secret=True)`, and write its value into `.env`, which git ignores'


def literal_secrets(stack: Stack, source: str) -> tuple[tuple[str, str], ...]:
    """The component and the variable of each value that is a secret by its name and stands in `source`.

    A number or a switch, as in `TOKEN_SECONDS=30`, is none; nor is what the stack file takes from elsewhere.
    """
    return tuple(
        (component.name, name)
        for component in stack
        for name, value in component.workload("container").environment.items()
        if isinstance(value, str) and is_secret_name(name) and _is_secret(value) and value in source
    )


def warning(component: str, variable: str) -> str:
    """What is wrong; never with the value."""
    return f"{component}/environment/{variable} looks like a secret, and stands in the stack file as plain text"


def _is_secret(value: str) -> bool:
    if value.strip().lower() in ("", "true", "false", "yes", "no", "on", "off", "none"):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
