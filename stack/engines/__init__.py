"""List the engines, the preferred one first. To add one: a folder beside this file, and a function and a line here.

A command loads the engine that it uses and no other.
"""

from __future__ import annotations

from typing import Protocol

from stack.engines.base import Engine
from stack.instance import Instance


class MakeEngine(Protocol):
    def __call__(self, instance: Instance, system_binaries: bool = False) -> Engine: ...


def _compose(instance: Instance, system_binaries: bool = False) -> Engine:
    from stack.engines.compose.driver import ComposeEngine

    return ComposeEngine(instance, system_binaries)


def _embedded(instance: Instance, system_binaries: bool = False) -> Engine:
    from stack.engines.embedded.driver import EmbeddedEngine

    return EmbeddedEngine(instance, system_binaries)


def _swarm(instance: Instance, system_binaries: bool = False) -> Engine:
    from stack.engines.swarm.driver import SwarmEngine

    return SwarmEngine(instance, system_binaries)


ENGINES: dict[str, MakeEngine] = {"compose": _compose, "embedded": _embedded, "swarm": _swarm}
