"""Run a command in a container of its own, made like those of a component and removed when it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stack.capabilities import Completed
from stack.engines import one_offs, process
from stack.engines.docker import client
from stack.engines.swarm import render
from stack.engines.swarm.cluster import Node
from stack.engines.swarm.container import made
from stack.engines.swarm.left import LABEL_RUN, remove_left
from stack.engines.swarm.observe import Seen, runs
from stack.errors import ExitCode, StackError
from stack.instance import Instance


def run_one_off(instance: Instance, seen: Seen, component: str, command: Sequence[str], capture: bool) -> Completed:
    """Run a command on the node that `node_for` chooses; return how it ended.

    With `capture` what it wrote is in the answer. Raises `component-down` and `node-unreachable`.
    """
    if not seen.services:
        raise StackError(
            "component-down",
            f"{component} was not made yet, so there is nothing to make a container from",
            "run `stackctl up` first",
        )
    node = node_for(seen, instance, component)
    node.require_known()
    remove_left(instance, node)
    name = one_offs.new_name(component)
    container = f"{instance.project}-{name.replace('.', '-')}"
    terminal = not capture and sys.stdin.isatty() and sys.stdout.isatty()
    with (
        one_offs.held(instance.state, name),
        made(instance, node, component, container, command, label=f"{LABEL_RUN}={name}", terminal=terminal) as there,
    ):
        if capture:
            return process.ask(component, there.start, client.environment(), None)
        exit_code = process.attach(there.start, client.environment())
        # An interrupted client gives 0, and leaves the command to run on.
        return Completed(ExitCode.INTERRUPTED if exit_code == 0 and there.runs() else exit_code, "", "")


def node_for(seen: Seen, instance: Instance, component: str) -> Node:
    """Choose the node with the data of a component, or else one that it runs on: that has its image already.

    If it does not run, or on no node that can be reached, it is the one that the client asks.
    """
    if render.has_data(instance, component):
        return seen.cluster.data_node(instance.project)
    service = seen.services.get(component)
    running = [seen.node_of(each.task) for each in service.slots if runs(each.task)] if service is not None else []
    asked = seen.cluster.asked
    reached = [node for node in running if node is not None and node.known and node.answers]
    return asked if asked in reached else next(iter(reached), asked)
