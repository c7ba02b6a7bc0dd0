"""Interpret what `docker inspect` prints: pure, tested with answers as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from stack.observed import Health


def tagged(image: str) -> str:
    """Return the name under which Docker lists an image: `docker.io/library/redis` is `redis:latest`.

    One with a digest is listed without its tag: `redis:8@sha256:…` is `redis@sha256:…`.
    """
    name, at, digest = image.removeprefix("docker.io/").removeprefix("library/").partition("@")
    folder, slash, last = name.rpartition("/")
    if at:
        return f"{folder}{slash}{last.partition(':')[0]}@{digest}"
    return name if ":" in last else f"{name}:latest"


def names(image: Mapping[str, Any]) -> list[str]:
    """List the names under which Docker lists an image, with tags and with digests."""
    return [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]


def time(text: str) -> datetime | None:
    """Parse `2026-01-02T03:04:05.123456789+01:00`; the year 1 stands for never."""
    parsed = datetime.fromisoformat(text)
    return None if parsed.year == 1 else parsed


def health(status: str, reported: str | None) -> Health:
    """Return the health of a container: none if it does not run, although the engine keeps the last one (moby/moby)."""
    if status != "running":
        return "none"
    return {"starting": "starting", "healthy": "healthy", "unhealthy": "unhealthy"}.get(reported or "", "none")  # type: ignore[return-value]


def bindings(container: Mapping[str, Any]) -> dict[str, int]:
    """Map each published port of a container to the port of this machine.

    From `{"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}`, which a stopped one has too; the keys stay.
    """
    found = container["HostConfig"].get("PortBindings") or {}
    return {port: int(hosts[0]["HostPort"]) for port, hosts in found.items() if hosts}


def volumes(container: Mapping[str, Any]) -> list[str]:
    """List the named volumes that a container mounts."""
    return [mount.get("Name", "") for mount in container["Mounts"] if mount["Type"] == "volume"]
