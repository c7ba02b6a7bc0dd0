"""What `docker inspect` says of a container, as recorded, and the state that is read from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stack import Postgres, Stack, WebApp
from stack.capabilities import Completed
from stack.engines.compose.driver import ComposeEngine
from stack.engines.docker import client
from stack.instance import Instance
from stack.observed import ComponentState

STATE = {
    "Status": "running",
    "OOMKilled": False,
    "ExitCode": 0,
    "Pid": 7,
    "StartedAt": "2026-11-24T13:27:43.700765905Z",
    # The daemon's own time zone.
    "Health": {"Status": "healthy", "Log": [{"Start": "2026-11-24T15:27:43.981588392+02:00", "Output": "1\n"}]},
}
CONTAINER: dict[str, Any] = {
    "Id": "63be5d654c6b",
    "RestartCount": 2,
    "State": STATE,
    "Image": "sha256:1",
    "Config": {"Image": "postgres:18", "Labels": {"com.docker.compose.service": "db"}},
    "HostConfig": {"Memory": 0, "NanoCpus": 0, "PidsLimit": 1, "RestartPolicy": {"Name": "no"}, "PortBindings": None},
    "NetworkSettings": {"Networks": {}},
    "Mounts": [],
}


def seen(monkeypatch: pytest.MonkeyPatch, **state: object) -> ComponentState:
    container = CONTAINER | {"State": STATE | state}

    def answer(arguments: list[str], *_: object, **options: object) -> Completed:
        return Completed(0, json.dumps([container]) if arguments[0] == "inspect" else "63be5d654c6b\n", "")

    monkeypatch.setattr(client, "run", answer)
    instance = Instance("shop", "shop", Stack("shop", [Postgres("db")]), Path("/"), Path("/"), {})
    return ComposeEngine(instance).observe().components["db"]


def test_a_health_is_told_from_one_of_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = seen(monkeypatch)
    assert state.since == datetime(2026, 11, 24, 13, 27, 43, 700765, UTC)
    assert state.health_at == datetime(2026, 11, 24, 13, 27, 43, 981588, UTC)
    assert (state.health, state.health_output) == ("healthy", "1")


def test_what_never_started_has_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    state = seen(monkeypatch, Status="created", StartedAt="0001-01-01T00:00:00Z", Health=None)
    assert (state.since, state.health_at, state.health) == (None, None, "none")


def test_only_what_is_there_is_inspected(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    lists = {"image": "postgres:18\nredis:8\n", "volume": "other_data\n"}

    def answer(arguments: list[str], *_: object, **options: object) -> Completed:
        asked.append(arguments)
        image = {"Id": "sha256:1", "RepoTags": ["postgres:18"]}
        return Completed(0, json.dumps([image]) if arguments[0] == "inspect" else lists.get(arguments[0], ""), "")

    monkeypatch.setattr(client, "run", answer)
    stack = Stack("shop", [Postgres("db"), *(WebApp(f"web{port}", source=".", port=port) for port in (1, 2, 3))])
    observed = ComposeEngine(Instance("shop", "shop", stack, Path("/"), Path("/"), {})).observe_all()

    assert [arguments for arguments in asked if arguments[0] == "inspect"] == [["inspect", "postgres:18"]]
    assert observed.images == {"db": "sha256:1"}
    assert observed.stores == frozenset()
