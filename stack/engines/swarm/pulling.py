"""Find out why a node has not pulled the image of a task: Swarm says only that it is not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stack.engines.docker import client, failures
from stack.engines.swarm.api import on_host
from stack.engines.swarm.cluster import Node
from stack.errors import StackError


def failure(component: str, task: Mapping[str, Any], node: Node) -> StackError | None:
    """Let a node pull the image of a task once more; return the error of that, or None if it works."""
    image = str(task["Spec"]["ContainerSpec"]["Image"])
    if not node.known:
        return _unavailable(
            component, node, image, f"the log of its Docker daemon, or `docker pull {image}` there,", ""
        )
    words = [*on_host(node.host), "pull", "--quiet", image]
    answer = client.run(words, client.STOP_TIMEOUT)
    if answer.ok:
        return None
    command = f"`docker {' '.join(words)}`"
    error = failures.classify(answer.stderr, "image-unavailable", "", "")
    if error.code == "disk-full":
        there = " ".join(["docker", *on_host(node.host), "system"])
        return StackError(
            "disk-full",
            f"the disk of the node {node.name} is full, so it can't pull the image of {component}",
            f"look with `{there} df`, make room with `{there} prune` (it keeps volumes), and run `stackctl up` again",
            error.output,
        )
    return _unavailable(component, node, image, command, error.output)


def _unavailable(component: str, node: Node, image: str, command: str, said: str) -> StackError:
    why = f": {said.splitlines()[-1].strip()}" if said else ""
    return StackError(
        "image-unavailable",
        f"the node {node.name} can't pull the image {image} of {component}{why}",
        f"{command} tells more; let the node reach the registry and run `stackctl up` again",
        said,
    )
