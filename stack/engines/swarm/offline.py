"""Run the server of a component by itself on its volume, in a container of its node, while its service does not run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from stack.capabilities import Serve, Session
from stack.engines.docker import client, failures
from stack.engines.docker.resolving import resolve, workload_of
from stack.engines.offline import run_offline, run_while_open
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.container import made
from stack.engines.swarm.files import FOLDER
from stack.engines.swarm.left import LABEL_BESIDE, await_offline_servers
from stack.engines.swarm.owners import give_to_users
from stack.engines.swarm.session import NodeSession
from stack.errors import StackError
from stack.instance import Instance
from stack.state import State


@contextlib.contextmanager
def serve_offline(instance: Instance, node: Node, component: str, serve: Serve) -> Iterator[Session]:
    """Serve a volume until the end of the block."""
    node.require_known()
    await_offline_servers(instance, node)
    give_to_users(instance, node)
    State(instance.state).make_folder(FOLDER)
    name = f"{instance.project}-{component}-beside"
    server = [resolve(instance, value) for value in serve.command]
    words = ["-c", run_while_open(serve), "sh", *server]
    limit = workload_of(instance, component).limits.memory * 2**20
    with (
        made(
            instance, node, component, name, words, label=f"{LABEL_BESIDE}={component}", program="sh", connected=False
        ) as there,
        open(instance.state / FOLDER / "beside.log", "wb") as log,
        run_offline(
            serve,
            lambda pid: NodeSession(component, name, limit, daemon=node.host),
            there.start,
            client.environment(),
            log,
            _failed,
        ) as opened,
    ):
        yield opened


def _failed(serve: Serve, output: str) -> StackError:
    return failures.classify(output, serve.failure.code, serve.failure.message, serve.failure.hint)
