"""The server that an instance is on, or is asked to be on."""

from __future__ import annotations

import platform

from stack.errors import StackError
from stack.record import Record
from stack.settings import Settings


def asked_host(settings: Settings) -> str | None:
    """Return the address of the server that was asked for, if one was."""
    if settings.host is None:
        return None
    # Only for a server is it loaded.
    from stack.engines.docker.hosts import address_of

    return address_of(settings.host)


def machine(settings: Settings) -> str | None:
    """Return the name of this machine, by which instances on a server are told from those of other machines."""
    return None if settings.host is None else platform.node()


def check_host(settings: Settings, name: str, record: Record) -> None:
    """Raise `host-differs` if another server was asked for than that of the instance: data does not move by itself."""
    if settings.host is not None and (asked := asked_host(settings)) != record.host:
        where = record.host or "this machine"
        raise StackError(
            "host-differs",
            f"{name} is on {where}, and its data with it; {asked} was asked for",
            "leave --host and STACKCTL_HOST out, or take another --instance NAME; "
            f"`stackctl move --to {asked}` takes it there",
        )
