"""What the daemon answers over its socket is what the client prints."""

from __future__ import annotations

import pytest

from stack.engines.docker import api, objects
from stack.engines.docker.objects import (
    api_version,
    container_ids,
    container_names,
    image_names,
    inspect,
    network_names,
    volume_names,
)
from tests.cli import Cli

pytestmark = pytest.mark.docker


def test_both_ways_to_look_up_find_the_same(kept: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"label=com.docker.compose.project={kept.data('env')['COMPOSE_PROJECT_NAME']}"

    def look() -> dict[str, object]:
        found = inspect(container_ids(own), ["redis:8", "redis:none", "nothing"], [*volume_names(own), "none"])
        objects = {str(each.get("Id") or each["Name"]): each for each in found}
        for each in objects.values():
            # Both change with each check of the health, while it is looked at.
            (each.get("State") or {}).pop("Health", None)
            each.pop("ExecIDs", None)
            # Docker gives them in no order.
            for key in ("Mounts", "RepoTags", "RepoDigests"):
                each[key] = sorted(map(str, each.get(key) or ()))
        return {
            "all": {each[:12] for each in container_ids(own)},
            "running": {each[:12] for each in container_ids(own, stopped=False)},
            "volumes": volume_names(own),
            "networks": network_names(own),
            "names": container_names(own),
            "running names": container_names(own, stopped=False),
            "images": sorted(image_names(own)),
            "API": api_version(30),
            "objects": objects,
        }

    assert api.local() is not None, "this daemon is not behind a socket of this machine"
    by_socket = look()
    monkeypatch.setattr(api, "local", lambda: None)
    assert look() == by_socket
    assert len(by_socket["objects"]) == len(by_socket["all"]) + len(by_socket["volumes"]) + 1  # type: ignore[arg-type]
    assert not objects.inspect()
