"""What looks at all instances of each engine. A new engine has a line here too."""

from __future__ import annotations

from stack.engines.base import Fleet
from stack.engines.compose.fleet import ComposeFleet
from stack.engines.embedded.fleet import EmbeddedFleet
from stack.engines.swarm.fleet import SwarmFleet


def fleet_of_server(host: str) -> Fleet:
    """Return what looks at all instances of this user on a server."""
    return ComposeFleet(host)


FLEETS: dict[str, Fleet] = {"compose": ComposeFleet(), "embedded": EmbeddedFleet(), "swarm": SwarmFleet()}
