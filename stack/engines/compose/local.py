"""Give a process of this machine what a container has: its variables, with addresses and paths of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from stack.engines.base import Local
from stack.engines.docker.forward import Forwarded, forwarded
from stack.engines.docker.resolving import port_number
from stack.engines.variables import given_of, missing_value
from stack.errors import DeclarationError
from stack.instance import Instance
from stack.ports import HOST
from stack.references import (
    ParameterReference,
    Reference,
    SecretReference,
    SecretValue,
    Value,
    hide,
    references_in,
    resolved,
)
from stack.state import State
from stack.workload import PortId

_FOLDER = "local"
Ports = dict[PortId, int]


@contextlib.contextmanager
def local(instance: Instance, component: str, container: Callable[[str], str]) -> Iterator[Local]:
    """Reach the ports that a component refers to for the block. `container`: that of a component, which runs."""
    workload = instance.stack.workload(component, "container")
    words = _words(instance, component)
    values = [*workload.environment.values(), *(words or ())]
    with contextlib.ExitStack() as opened:
        ports: Ports = {}
        for reference in (each for value in values for each in references_in(value)):
            id_ = PortId.of(reference.component, reference.name)
            if reference.field == "port" and id_ not in ports:
                ports[id_] = _published(instance, reference, component) or opened.enter_context(
                    forwarded(
                        Forwarded(
                            partial(container, reference.component),
                            port_number(instance, reference),
                            host=instance.host,
                        )
                    )
                )
        resolve = partial(_resolve, instance, component, ports)
        given = given_of(instance, workload.given_environment, resolve)
        if given is None:
            raise missing_value(component)
        plain = {name: resolve(value) for name, value in workload.plain_environment.items()}
        yield Local({**plain, **given}, None if words is None else tuple(map(resolve, words)))


def _words(instance: Instance, component: str) -> tuple[Value, ...] | None:
    """Return how a component runs without a container, if it can."""
    try:
        return instance.stack.workload(component, "process").words
    except DeclarationError:
        return None


def _published(instance: Instance, reference: Reference, component: str) -> int | None:
    """Return the port of this machine that a reference is to, if no container has to be reached for it."""
    ports = instance.stack.own_workload(reference.component, "container").ports
    port = next(each for each in ports if reference.name in ("", each.id.name))
    if port.id in instance.ports:
        return instance.ports[port.id]
    # Its own one it opens itself, and datagrams are passed on by nothing.
    return port.number if reference.component == component or port.udp else None


def _resolve(
    instance: Instance, component: str, ports: Ports, value: Value, reveal: Callable[[SecretValue], str] = hide
) -> str:
    def of(reference: Reference | SecretValue) -> str:
        if isinstance(reference, SecretValue):
            return reveal(reference)
        if isinstance(reference, ParameterReference):
            return reference.value(instance.parameters)
        if isinstance(reference, SecretReference):
            return str(instance.secret_file(reference.id))
        name = reference.name
        return {
            "host": lambda: HOST,
            "bind": lambda: HOST,
            "every": lambda: HOST,
            "port": lambda: str(ports[PortId.of(reference.component, name)]),
            "volume": lambda: _folder(instance, f"{reference.component}_{name}" if name else reference.component),
            "shared": lambda: _folder(instance, name),
            "file": lambda: _file(instance, reference),
        }[reference.field]()

    return resolved(value, of)


def _folder(instance: Instance, name: str) -> str:
    """Return a folder in the place of a volume, whose files Docker has."""
    State(instance.state).make_folder(f"{_FOLDER}/{name}")
    return str(instance.state / _FOLDER / name)


def _file(instance: Instance, reference: Reference) -> str:
    files = instance.stack.own_workload(reference.component, "container").files
    return str(
        next(instance.config_file(each) for each in files if each.name == f"{reference.component}.{reference.name}")
    )
