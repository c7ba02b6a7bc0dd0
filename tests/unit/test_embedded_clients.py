"""What `stackctl env` gives the clients of an embedded instance."""

from __future__ import annotations

from pathlib import Path

from stack import Postgres, Redis, Stack
from stack.engines.embedded.host import LocalHost, client_environment, on_path
from stack.engines.embedded.layout import Home, Layout
from stack.workload import PortId

PORTS = {PortId("db"): 5001, PortId("cache"): 6001, PortId("sessions-cache"): 6002}


def variables(folder: Path, *components: Postgres | Redis) -> dict[str, str]:
    home = Home(folder, folder / "runtime", folder / "secrets")
    return client_environment(Stack("shop", components), LocalHost(Layout(home, PORTS, {})))


def test_each_of_two_caches_has_its_port_under_its_own_name(tmp_path: Path) -> None:
    found = variables(tmp_path, Postgres("db"), Redis("cache"), Redis("sessions-cache"))
    names = ("STACKCTL_DB_PORT", "STACKCTL_CACHE_PORT", "STACKCTL_SESSIONS_CACHE_PORT")
    assert [found[name] for name in names] == ["5001", "6001", "6002"]
    assert found["STACKCTL_SESSIONS_CACHE_PASSWORD_FILE"] != found["STACKCTL_CACHE_PASSWORD_FILE"]


def test_the_clients_find_the_first_server_of_each_kind(tmp_path: Path) -> None:
    found = variables(tmp_path, Postgres("db"), Redis("cache"), Redis("sessions-cache"))
    assert (found["PGPORT"], found["STACKCTL_REDIS_PORT"]) == ("5001", "6001")
    assert found["STACKCTL_REDIS_PASSWORD_FILE"] == found["STACKCTL_CACHE_PASSWORD_FILE"]


def test_a_path_asked_for_again_is_the_same() -> None:
    once = on_path("/usr/bin:/bin", "/home/bin", "/tools/a:/tools/b")
    assert once == "/home/bin:/tools/a:/tools/b:/usr/bin:/bin"
    assert on_path(once, "/home/bin", "/tools/a:/tools/b") == once
