"""List the engines, the preferred one first. To add one: a folder beside this file, and a line in each dict here."""

from __future__ import annotations

from typing import Protocol

from stack.engines.base import Engine, Fleet
from stack.engines.compose.driver import ComposeEngine
from stack.engines.compose.fleet import ComposeFleet
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.embedded.fleet import EmbeddedFleet
from stack.instance import Instance


class EngineClass(Protocol):
    def __call__(self, instance: Instance, system_binaries: bool = False) -> Engine: ...


ENGINES: dict[str, EngineClass] = {"compose": ComposeEngine, "embedded": EmbeddedEngine}
FLEETS: dict[str, Fleet] = {"compose": ComposeFleet(), "embedded": EmbeddedFleet()}
