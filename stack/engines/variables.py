"""Write the variables that hold secrets: into files that only their owner can read, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from stack.instance import Instance
from stack.references import SecretValue, Value
from stack.state import State
from stack.workload import Target

Resolve = Callable[[Value, Callable[[SecretValue], str]], str]
"""Inserts all that a value refers to; the function gives the text of a secret."""


def secret_variables(instance: Instance, target: Target, resolve: Resolve) -> Mapping[str, dict[str, str] | None]:
    """Resolve the variables of each component that hold secrets; None if one of its secrets does not exist."""
    state = State(instance.state)

    def reveal(value: SecretValue) -> str:
        text = state.secret(value.secret.id).reveal()
        return quote(text, safe="") if value.encoded else text

    def of(name: str) -> dict[str, str] | None:
        workload = instance.stack.workload(name, target)
        if not all(state.has_secret(secret.id) for secret in workload.revealed):
            return None
        return {variable: resolve(value, reveal) for variable, value in workload.secret_environment.items()}

    return {name: of(name) for name in instance.stack.names if instance.stack.workload(name, target).revealed}
