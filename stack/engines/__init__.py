"""The engines that make a stack real. To add one: a folder beside this file, and a line here."""

from __future__ import annotations

from typing import Protocol

from stack.engines.base import Engine
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded.driver import EmbeddedEngine
from stack.instance import Instance


class EngineClass(Protocol):
    def __call__(self, instance: Instance, system_binaries: bool = False) -> Engine: ...


ENGINES: dict[str, EngineClass] = {"compose": ComposeEngine, "embedded": EmbeddedEngine}
