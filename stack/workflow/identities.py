"""Find out how the data of each component is made: its names, version, password and store."""

from __future__ import annotations

from collections.abc import Mapping

from stack.applied import Applied, short_name
from stack.fields import Fields, digest
from stack.model import Stack
from stack.references import FileSecret, ParameterSecret, secrets_in
from stack.workflow.opened import Opened
from stack.workload import TARGETS

# Of data that asks for none.
_NO_PASSWORD = "none"  # noqa: S105 - the word for it


def secret_digests(opened: Opened) -> dict[str, str]:
    """Return the digest of each secret that exists."""
    state = opened.state
    ids = {secret.id for target in TARGETS for secret in opened.instance.stack.secrets(target)}
    digests = {each: digest(state.secret(each).reveal()) for each in sorted(ids) if state.has_secret(each)}
    given = opened.instance.parameters
    return (
        digests
        | {
            each.id: digest(each.value(given))
            for each in secret_parameters(opened.instance.stack)
            if each.parameter.name in given
        }
        | {each.id: digest(each.text) for each in secrets_of_files(opened.instance.stack)}
    )


def secret_parameters(stack: Stack) -> tuple[ParameterSecret, ...]:
    """Return the secrets of parameters, with the parts of URLs that are secrets of their own."""
    needed = (each.parameter for each in stack.parameters.values() if each.parameter.secret)
    parts = (ParameterSecret.to(external.url, "password") for external in stack.externals)
    return (*map(ParameterSecret.to, needed), *parts)


def secrets_of_files(stack: Stack) -> tuple[FileSecret, ...]:
    """Return the variables that components have from files, each as a secret."""
    values = [value for name in stack.names for value in stack.given.get(name, {}).values()]
    return tuple(each for value in values for each in secrets_in(value) if isinstance(each, FileSecret))


def identities(opened: Opened, secrets: Mapping[str, str]) -> dict[str, Fields]:
    """Return how the data of each component would be made now; `secrets`: the digest of each."""
    return {
        component.name: {
            **component.data.identity(),
            "version": str(opened.engine.version(component.name) or ""),
            "store": short_name(_store(opened, component.name)),
            "password": secrets.get(component.login.secret.id, "") if component.login else _NO_PASSWORD,
        }
        for component in opened.instance.stack
        if component.data is not None
    }


def origin(opened: Opened, applied: Applied, name: str) -> Fields | None:
    """Return how the data of a component was made; None if that is not known of the store that it uses."""
    return applied.origin(name, _store(opened, name))


def data_version(opened: Opened, applied: Applied, name: str) -> int | None:
    """Return the major version that made the data of a database: as the engine sees it, else as it was recorded."""
    made = origin(opened, applied, name) or {}
    return opened.engine.volumes.version(name) or (int(made["version"]) if made.get("version") else None)


def _store(opened: Opened, name: str) -> str:
    return next(store for volume, store in opened.engine.volumes.declared().items() if volume.component == name)
