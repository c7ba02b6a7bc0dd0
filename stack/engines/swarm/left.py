"""Find what commands left on a node: containers beside the services, of a stackctl that was killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from stack.engines import one_offs
from stack.engines.docker import client
from stack.engines.docker.labels import LABEL_STATE
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.swarm import api
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.instance import Instance

LABEL_RUN = "stackctl.run"
"""Of a container with a command of a user; its value is the name of that."""
LABEL_BESIDE = "stackctl.beside"
"""Of one with a server that runs by itself on a volume."""
_ENDS_WITHIN = 60.0
_POLL = 0.05


def remove_left(instance: Instance, node: Node) -> None:
    """Remove the containers of commands on a node whose stackctl was killed."""
    found = _found(instance, node, LABEL_RUN)
    _remove(node, [id_ for id_, each in found.items() if one_offs.is_left(instance.state, each["Labels"][LABEL_RUN])])


def remove_commands(instance: Instance, node: Node) -> None:
    """Remove the containers of all commands on a node: a network can't be removed while one is on it."""
    _remove(node, [*_found(instance, node, LABEL_RUN)])


def await_offline_servers(instance: Instance, node: Node) -> None:
    """Wait for an offline server left by a killed command; it exits once its standard input closes.

    Two servers on one volume would corrupt its data, and containers don't see each other's locks.
    """
    deadline, pause = time.monotonic() + _ENDS_WITHIN, threading.Event()
    while found := _found(instance, node, LABEL_BESIDE):
        late = time.monotonic() > deadline
        _remove(node, [id_ for id_, each in found.items() if late or each["State"] != "running"])
        pause.wait(_POLL)


def _found(instance: Instance, node: Node, label: str) -> Mapping[str, Mapping[str, Any]]:
    filters = {"label": [label, f"{LABEL_STATE}={instance.state}"]}
    found = api.daemon(node.host).get("/containers/json", filters, everything=True)
    return {each["Id"]: each for each in found}


def _remove(node: Node, ids: list[str]) -> None:
    if ids:
        command = ["container", "rm", "--force", "--volumes", *ids]
        client.run([*on_host(node.host), *command], READ_TIMEOUT)
