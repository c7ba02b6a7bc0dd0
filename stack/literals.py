"""Find secrets written as plain text in a stack file, where every reader of the file or its repository sees them."""

from __future__ import annotations

from stack.fields import is_secret_name
from stack.frozen import dataclass
from stack.model import Stack


@dataclass(frozen=True)
class LiteralSecret:
    """A variable whose value stands in the stack file, and the components that have it."""

    variable: str
    components: tuple[str, ...]

    @property
    def problem(self) -> str:
        """What is wrong; never with the value."""
        first, *others = self.components
        also = f" (and of {', '.join(others)})" if others else ""
        return (
            f"{first}/environment/{self.variable}{also} looks like a secret, and stands in the stack file as plain text"
        )

    @property
    def fix(self) -> str:
        return (
            f'declare it as `Parameter("{self.variable}", secret=True)`, and write its value into `.env`, '
            "which git ignores"
        )


def literal_secrets(stack: Stack, source: str) -> tuple[LiteralSecret, ...]:
    """Find each value that is a secret by its name and stands in `source`; several components may have one of them.

    A number or a switch, as in `TOKEN_SECONDS=30`, is none; nor is what the stack file takes from elsewhere.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for component in stack:
        for name, value in component.workload("container").environment.items():
            if isinstance(value, str) and is_secret_name(name) and _is_secret(value) and value in source:
                found.setdefault((name, value), []).append(component.name)
    return tuple(LiteralSecret(name, tuple(components)) for (name, _), components in found.items())


def _is_secret(value: str) -> bool:
    if value.strip().lower() in ("", "true", "false", "yes", "no", "on", "off", "none"):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False
