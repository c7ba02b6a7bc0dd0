"""Find the server that a user means: by its address, or by a docker context that leads to it."""

from __future__ import annotations

from stack.engines.docker import api
from stack.engines.docker.ssh import SCHEME, Server
from stack.errors import UsageError


def address_of(host: str) -> str:
    """Return the address of a server, always written the same. Raises `UsageError` for what leads to none."""
    if "://" in host:
        return str(Server.parse(host))
    address = api.address_of(host)
    if not address:
        raise UsageError(
            f"{host!r} is neither the address of a server nor a docker context",
            "for example: --host ssh://deploy@shop.example.com; `docker context ls` lists the contexts",
        )
    if not address.startswith(SCHEME):
        raise UsageError(
            f"the docker context {host!r} leads to {address}, not to a server over SSH",
            f"leave --host out, and choose it for all commands with `docker context use {host}`",
        )
    return str(Server.parse(address))
