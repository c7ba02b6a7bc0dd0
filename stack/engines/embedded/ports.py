"""Choose the ports of an instance that are not published, and keep them from one `up` to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from stack.errors import StackError
from stack.instance import Instance
from stack.ports import any_free, is_free
from stack.workload import Port, PortId


def read_ports(path: Path) -> dict[PortId, int]:
    """Read the ports of the last `up`; none if there was no `up`. Raises `state-unusable` for a damaged file."""
    try:
        return {PortId(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError) as error:
        raise StackError(
            "state-unusable", f"{path}: is damaged", "delete this file: other ports will be chosen"
        ) from error


def ports_text(ports: Mapping[PortId, int]) -> str:
    """Return the content of the file that `read_ports` reads."""
    return json.dumps(ports) + "\n"


def expected_ports(instance: Instance, remembered: Mapping[PortId, int]) -> dict[PortId, int]:
    """Return the port that each component will have, as far as it is known.

    A published port is declared, another one is remembered. One that is yet to be chosen has its number in a container.
    """
    return {port.id: port.number for port in _all_ports(instance)} | dict(remembered) | dict(instance.ports)


def choose_ports(instance: Instance, remembered: Mapping[PortId, int], keep: bool) -> dict[PortId, int]:
    """Choose a free port for each that is not published, the remembered one if possible.

    With `keep` the instance runs, so it is the instance that listens on a remembered port that is in use. The ports of
    a component are in the order of their declaration, for the first is the one that needs no name.
    """
    chosen, declaration = dict(instance.ports), _all_ports(instance)
    for declared in declaration:
        port = chosen.get(declared.id) or remembered.get(declared.id, 0)
        while port == 0 or (
            declared.id not in chosen and (port in chosen.values() or not (keep or is_free(port, declared.udp)))
        ):
            port = any_free()
        chosen[declared.id] = port
    return {port.id: chosen[port.id] for port in declaration}


def _all_ports(instance: Instance) -> list[Port]:
    stack = instance.stack
    return [port for name in stack.names for port in stack.workload(name, "process").ports]
