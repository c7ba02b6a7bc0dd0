"""Say which declared fields do nothing on the engine of an instance. Pure."""

from __future__ import annotations

from stack.model import Stack
from stack.workload import Target


def fields_without_effect(stack: Stack, target: Target) -> tuple[str, ...]:
    """Name them, of each component that has any."""
    return tuple(
        f"{component.name}: its {' and '.join(fields)} is for Docker alone, and this engine runs a {component.role} "
        "without one"
        for component in stack
        if (fields := component.without_effect(target))
    )
