"""Say how a component is asked whether it works: `health.http("/ready")`, `health.tcp()`, `health.command([…])`."""

from __future__ import annotations

from collections.abc import Sequence

from stack.frozen import dataclass


@dataclass(frozen=True)
class Http:
    """A GET of `path` on a published port, which is answered with less than 400."""

    path: str
    port: str


@dataclass(frozen=True)
class Tcp:
    """A connection to a published port, which is accepted and stays open."""

    port: str


@dataclass(frozen=True)
class Command:
    """A command in the component, which ends with 0. Times in seconds."""

    words: Sequence[str]
    interval: float
    timeout: float
    retries: int


Health = Http | Tcp | Command


def http(path: str = "/", port: str = "") -> Http:
    """Ask for `path`. `port`: the name of a published port; without it the first."""
    return Http(path, port)


def tcp(port: str = "") -> Tcp:
    """Connect. `port`: the name of a published port; without it the first."""
    return Tcp(port)


def command(words: Sequence[str], interval: float = 10, timeout: float = 5, retries: int = 3) -> Command:
    """Run a command, at first twice a second and then each `interval` seconds; `retries` failures make it unhealthy."""
    return Command(words, interval, timeout, retries)
