"""Resolve the variables with secrets and parameters, which an engine writes into files for their owner alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from stack.errors import StackError
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

# Stands for a secret of the state in what is kept longer than the secret is valid.
_MARK = re.compile(r"\0(?P<id>[^\0|]+)(?P<encoded>\|encoded)?\0")


def given_variables(instance: Instance, target: Target, resolve: Resolve) -> Mapping[str, dict[str, str] | None]:
    """Resolve the variables with secrets and parameters of each component; None if one of these has no value."""
    found = {name: instance.stack.workload(name, target).given_environment for name in instance.stack.names}
    return {name: given_of(instance, given, resolve) for name, given in found.items() if given}


def given_of(
    instance: Instance, given: Mapping[str, Value], resolve: Resolve, *, marked: bool = False
) -> dict[str, str] | None:
    """Resolve variables with secrets and parameters; None if one of these has no value.

    With `marked` a mark takes the place of each secret of the state, for `with_secrets`.
    """
    state = State(instance.state)

    def text_of(secret: SecretReference) -> str:
        if isinstance(secret, FileSecret):
            return secret.text
        if isinstance(secret, ParameterSecret):
            return secret.value(instance.parameters)
        return state.secret(secret.id).reveal()

    def reveal(value: SecretValue) -> str:
        if marked and not isinstance(value.secret, (FileSecret, ParameterSecret)):
            return f"\0{value.secret.id}{'|encoded' if value.encoded else ''}\0"
        text = text_of(value.secret)
        return quote(text, safe="") if value.encoded else text

    def exists(reference: Reference) -> bool:
        if isinstance(reference, FileSecret):
            return True
        if isinstance(reference, OfParameter):
            return reference.parameter.name in instance.parameters
        return not isinstance(reference, SecretReference) or state.has_secret(reference.id)

    if not all(exists(reference) for value in given.values() for reference in references_in(value)):
        return None
    return {variable: resolve(value, reveal) for variable, value in given.items()}


def with_secrets(instance: Instance, text: str) -> str:
    """Put the secrets of the state, as they are now, in the place of their marks."""
    state = State(instance.state)

    def reveal(mark: re.Match[str]) -> str:
        secret = state.secret(mark["id"]).reveal()
        return quote(secret, safe="") if mark["encoded"] else secret

    return _MARK.sub(reveal, text)


def missing_value(component: str) -> StackError:
    """Return the error of a component that was declared with a secret or parameter which has no value yet."""
    problem = f"{component} has a variable with a secret or a parameter that has no value yet"
    return StackError("component-down", problem, "run `stackctl up`, which makes or asks for it")
