"""The engines that make a stack real. To add one: a folder beside this file, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from stack.engines.base import Engine
from stack.engines.compose.driver import ComposeEngine
from stack.engines.embedded.driver import EmbeddedEngine
from stack.instance import Instance

ENGINES: dict[str, Callable[[Instance], Engine]] = {"compose": ComposeEngine, "embedded": EmbeddedEngine}
