"""Check the values of a declaration. Each raises `DeclarationError` with the path of the field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from stack.model import Component, sequence
from stack.references import Reference, SecretReference, Text, Value, deferred

# More than any machine has: 16 TiB, and a day.
_MOST_MEMORY, _MOST_CPUS, _MOST_SECONDS = 16 * 2**20, 256, 86400
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def used_names(component: Component, uses: object) -> tuple[str, ...]:
    """Return the names in `uses=[…]`, which takes components and names of components."""
    names = []
    for used in sequence(f"{component.name}/uses", uses):
        if not isinstance(used, (Component, str)):
            raise component.wrong("uses", f"{used!r} is neither a component nor the name of one")
        names.append(used.name if isinstance(used, Component) else used)
    for name in names:
        if names.count(name) > 1:
            raise component.wrong("uses", f"{name!r} is listed twice")
    return tuple(names)


def checked_port(component: Component, field: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise component.wrong(field, f"{value!r} is not a port (1-65535)")
    return value


def checked_memory(component: Component, memory: object, least: int) -> None:
    _checked_whole(component, "memory", memory, least, _MOST_MEMORY, "MiB")


def checked_cpus(component: Component, cpus: object) -> None:
    _checked_amount(component, "cpus", cpus, 0.1, _MOST_CPUS, "CPUs")


def checked_seconds(component: Component, field: str, value: object) -> None:
    _checked_whole(component, field, value, 1, _MOST_SECONDS, "seconds")


def _checked_amount(component: Component, field: str, value: object, least: float, most: float, unit: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < math.inf:
        raise component.wrong(field, f"{value!r} is not an amount in {unit} (at least {least:g})")
    if value > most:
        raise component.wrong(field, f"{value!r} is not an amount in {unit} (at most {most})")


def _checked_whole(component: Component, field: str, value: object, least: int, most: int, unit: str) -> None:
    if not isinstance(value, int):
        raise component.wrong(field, f"{value!r} is not a whole number of {unit} (at least {least})")
    _checked_amount(component, field, value, least, most, unit)


def checked_environment(component: Component, environment: object) -> Mapping[str, Value]:
    """Freeze an environment: numbers become text, and the variable of a secret must end in `_FILE`."""
    if not isinstance(environment, Mapping):
        raise component.wrong("environment", f"{environment!r} is not a mapping of names to values")
    return MappingProxyType({name: _checked_variable(component, name, value) for name, value in environment.items()})


def _checked_variable(component: Component, name: object, value: object) -> Value:
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise component.wrong("environment", f"{name!r} is not the name of a variable")
    path = f"environment/{name}"
    if isinstance(value, SecretReference) and not name.endswith("_FILE"):
        raise component.wrong(path, "a secret is passed as a file: end the name with _FILE")
    if isinstance(value, (Reference, Text)):
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise component.wrong(path, f"{value!r} is not text, a number or a reference")
    return checked_text(component, path, str(value))


def checked_command(component: Component, command: object) -> tuple[Value, ...]:
    """Return the words of a command, each text or a reference that is not a secret."""
    if isinstance(command, str) or not isinstance(command, Sequence) or not command:
        raise component.wrong("command", f"{command!r} is not a list of words, like ['python', 'app.py']")
    return tuple(_checked_word(component, word) for word in command)


def _checked_word(component: Component, word: object) -> Value:
    if isinstance(word, SecretReference) or not isinstance(word, (str, Reference, Text)):
        raise component.wrong("command", f"{word!r} is not a word of a command")
    return checked_text(component, "command", word) if isinstance(word, str) else word


def checked_text(component: Component, field: str, text: str) -> str | Text:
    """Return text that can be passed to a program, with the references in it."""
    if "\0" in text:
        raise component.wrong(field, "contains a NUL byte, which environments and paths do not allow")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise component.wrong(field, f"{text!r} contains half of a character, which UTF-8 can't encode")
    try:
        return deferred(text)
    except ValueError as error:
        raise component.wrong(field, str(error)) from None


def checked_path(component: Component, field: str, value: object) -> str:
    """Return the path of a folder, as declared."""
    if not isinstance(value, str) or not value.strip():
        raise component.wrong(field, f"{value!r} is not the path of a folder")
    checked_text(component, field, value)
    return value
