"""Describe where an instance is, and what else must stay the same from one `up` to the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Any, Self

from stack.frozen import dataclass
from stack.workload import PortId, VolumeId

# What is left out of the file while it says nothing.
_OPTIONAL = ("parameters", "stopped", "published", "host", "elsewhere", "parent", "parent_file")


@dataclass(frozen=True)
class Place:
    """Where the data of an instance is, or was: an engine, on which server, and the engine's names for all of it.

    The fields are those of `Record`. `left`: when the instance left it, ISO 8601; empty for a place that it never was
    at, because the `move` there has not ended.
    """

    engine: str
    project: str
    host: str | None = None
    generations: Mapping[VolumeId, int] = field(default_factory=dict)
    system_binaries: bool = False
    left: str = ""

    @classmethod
    def parsed(cls, data: Mapping[str, Any]) -> Self:
        """Read what JSON made of one. Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError`."""
        return cls(
            engine=str(data["engine"]),
            project=str(data["project"]),
            host=_text(data, "host"),
            generations=_generations(data),
            system_binaries=bool(data.get("system_binaries", False)),
            left=str(data.get("left", "")),
        )

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What tells it from every other."""
        return self.engine, self.project, self.host

    def __str__(self) -> str:
        """Name it as `move --to` does."""
        return self.host or self.engine


@dataclass(frozen=True)
class Record:
    """What must stay the same from one `up` to the next: the engine, its name for the instance, and the ports.

    `engine` is None for an instance that was never up. `system_binaries`: its servers are those on PATH. `generations`
    as in `Instance`: that a component has its data in another store is true from the moment that this is written.
    `parameters`: those that were given once and are no secrets. `groups`: those that are on. `published`: the
    components whose ports are, though they declare that of none. `stopped`: those that do not run on purpose, until an
    `up` of everything: `stop` named them, or `up` named only others. `host`: the server that it is on. `elsewhere`: the
    other place that has something of it, if there is one; nothing of it runs there. `parent`: the state folder of the
    instance that it is a branch of, and `parent_file` its stack file; empty if it is none.
    """

    project: str
    ports: Mapping[PortId, int]
    engine: str | None = None
    system_binaries: bool = False
    generations: Mapping[VolumeId, int] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    host: str | None = None
    elsewhere: Place | None = None
    parent: str = ""
    parent_file: str = ""

    @classmethod
    def parsed(cls, data: Mapping[str, Any]) -> Self:
        """Read what JSON made of one. Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError`."""
        return cls(
            project=str(data["project"]),
            ports={PortId(port): int(number) for port, number in data["ports"].items()},
            engine=_text(data, "engine"),
            system_binaries=bool(data.get("system_binaries", False)),
            generations=_generations(data),
            parameters={str(name): str(value) for name, value in data.get("parameters", {}).items()},
            groups=tuple(map(str, data.get("groups", ()))),
            published=tuple(map(str, data.get("published", ()))),
            stopped=tuple(map(str, data.get("stopped", ()))),
            host=_text(data, "host"),
            elsewhere=Place.parsed(data["elsewhere"]) if data.get("elsewhere") else None,
            parent=str(data.get("parent", "")),
            parent_file=str(data.get("parent_file", "")),
        )

    @property
    def data(self) -> dict[str, Any]:
        """What JSON is made of, as `parsed` reads it."""
        return {name: value for name, value in asdict(self).items() if value or name not in _OPTIONAL}


def _text(data: Mapping[str, Any], name: str) -> str | None:
    return str(data[name]) if data.get(name) else None


def _generations(data: Mapping[str, Any]) -> dict[VolumeId, int]:
    return {VolumeId(name): int(number) for name, number in data.get("generations", {}).items()}
