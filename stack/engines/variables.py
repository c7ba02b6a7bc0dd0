"""Resolve the variables with secrets and parameters, which an engine writes into files for their owner alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from stack.instance import Instance
from stack.references import (
    FileSecret,
    OfParameter,
    ParameterSecret,
    Reference,
    SecretReference,
    SecretValue,
    Value,
    references_in,
)
from stack.state import State
from stack.workload import Target

Resolve = Callable[[Value, Callable[[SecretValue], str]], str]
"""Inserts all that a value refers to; the function gives the text of a secret."""


def given_variables(instance: Instance, target: Target, resolve: Resolve) -> Mapping[str, dict[str, str] | None]:
    """Resolve the variables with secrets and parameters of each component; None if one of these has no value."""
    state = State(instance.state)

    def text_of(secret: SecretReference) -> str:
        if isinstance(secret, FileSecret):
            return secret.text
        if isinstance(secret, ParameterSecret):
            return secret.value(instance.parameters)
        return state.secret(secret.id).reveal()

    def reveal(value: SecretValue) -> str:
        text = text_of(value.secret)
        return quote(text, safe="") if value.encoded else text

    def exists(reference: Reference) -> bool:
        if isinstance(reference, FileSecret):
            return True
        if isinstance(reference, OfParameter):
            return reference.parameter.name in instance.parameters
        return not isinstance(reference, SecretReference) or state.has_secret(reference.id)

    def of(given: Mapping[str, Value]) -> dict[str, str] | None:
        if not all(exists(reference) for value in given.values() for reference in references_in(value)):
            return None
        return {variable: resolve(value, reveal) for variable, value in given.items()}

    found = {name: instance.stack.workload(name, target).given_environment for name in instance.stack.names}
    return {name: of(given) for name, given in found.items() if given}
