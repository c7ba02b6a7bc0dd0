"""The generated Compose project, whole, for the playground and for each option that changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Bucket, Container, Mail, Postgres, Proxy, Redis, Stack, WebApp, Worker, health
from stack.contents import Content, Entry
from stack.declaration import load_stack
from stack.engines.compose.render import render
from stack.instance import Instance, default_ports
from stack.settings import PLAYGROUND

FOLDER = Path("/project")
db = Postgres("db")
cache = Redis("cache")

WEB = WebApp("web", source="app", command=["serve"], publish=None, uses=[db], volumes={"media": "/srv/media"})
CONTAINERS = Stack(
    "shop",
    [
        WEB,
        Worker("worker", of=WEB, command=["work"]),
        Container(
            "files",
            image="registry.example:5000/files/server:3",
            command=["serve", "$5"],
            entrypoint=["/init"],
            process=["serve"],
            ports={"http": 9000, "console": 9001, "dns": "53/udp"},
            publish={"http": 9000, "dns": 9000},
            volumes={"data": "/data"},
            health=health.command(["probe", "--price=$5"], interval=3, timeout=2, retries=1),
            user="image",
            writable=True,
            capabilities=["CHOWN", "SETUID"],
            egress=False,
            shm=64,
            stop_signal="QUIT",
            files={"conf/app $5.conf": "/etc/app.conf", "site": "/srv/site"},
            mounts={".": "/app", "src": "/src"},
            ulimits={"nofile": 65536, "memlock": -1},
            labels={"com.example.price": "$5"},
            extra_hosts={"host.docker.internal": "host-gateway", "six": "fd00::1"},
            restart="on-failure",
        ),
        Container(
            "tool",
            source="tool",
            target="prod",
            args={"PRICE": "$5"},
            process=["tool"],
            tmpfs=[],
            hostname="tool.example.com",
            working_dir="/srv/$5",
            terminal=True,
        ),
        db,
        Redis("queue", durable=True),
    ],
)


def instance(stack: Stack, **changes: Any) -> Instance:
    plain = Instance(
        name=stack.name,
        project=f"stackctl-{stack.name}-123456",
        stack=stack,
        folder=FOLDER / "stack",
        state=FOLDER / ".stackctl" / stack.name,
        ports=default_ports(stack),
    )
    return replace(plain, **changes)


def one(**options: Any) -> Instance:
    return instance(Stack("shop", [WebApp("web", source=".", **options)]))


PLAYGROUND_STACK = load_stack(PLAYGROUND)
CASES: Mapping[str, Instance] = {
    "playground": instance(PLAYGROUND_STACK),
    "port": instance(PLAYGROUND_STACK, ports={"web": 9000}),
    "instance": instance(
        PLAYGROUND_STACK, name="review", project="stackctl-review-654321", state=FOLDER / ".stackctl" / "review"
    ),
    "web-plain": one(),
    "web-port": one(port=3000, publish=8080),
    "web-command": one(command=["node", "server.js", "--price=$5"]),
    "web-environment": instance(
        Stack(
            "shop",
            [
                WebApp(
                    "web",
                    source="app",
                    uses=[db],
                    environment={
                        "PRICE": '$5 & "more"',
                        "RATIO": 0.5,
                        "PGHOST": db.host,
                        "PGPORT": db.port,
                        "PGPASSWORD_FILE": db.password,
                        "PLACE": f"http://{db.host}:{db.port}/$1",
                    },
                ),
                db,
            ],
        )
    ),
    "web-reference": instance(
        Stack("shop", [WebApp("web", source="app", uses=[cache], command=["app", f"--cache={cache.host}"]), cache])
    ),
    "web-limits": one(memory=64, cpus=0.5, user="1000:1000", stop_grace=5),
    "postgres-options": instance(Stack("shop", [Postgres("orders-db", user="u", database="d", memory=1024, cpus=4.0)])),
    "redis-options": instance(Stack("shop", [Redis("cache", memory=256, cpus=0.5)])),
    "mail": instance(Stack("shop", [Container("app", image="app", uses=["mail"], egress=False), Mail("mail")])),
    "proxy": instance(
        Stack(
            "shop",
            [
                Container("web", image="web", ports={"http": 8000}, egress=False),
                Container("box", image="box", ports={"http": 80, "console": 81}, egress=False),
                Proxy("proxy", {"/": "web", "/box/": "box.console"}),
            ],
        )
    ),
    "bucket": instance(
        Stack(
            "shop", [Container("app", image="app", uses=["files"], egress=False), Bucket("files", ["uploads", "ads"])]
        )
    ),
    "two-apps": instance(
        Stack(
            "shop",
            [
                WebApp("web", source="web", uses=["api"]),
                WebApp("api", source="api", port=8001, uses=[db, cache]),
                db,
                cache,
            ],
        )
    ),
    "containers": instance(
        CONTAINERS,
        contents={
            "files.app-5-conf": Content((Entry("", b"port 9000\n"),)),
            "files.site": Content(
                (Entry("index.html", b"<p>"), Entry("run/it", b"#!", executable=True)), is_folder=True
            ),
        },
    ),
    "odd-path": instance(PLAYGROUND_STACK, folder=Path("/my $HOME/it's"), state=Path("/my $HOME/it's/.stackctl/p")),
}


@pytest.mark.parametrize("name", CASES)
def test_the_project_is_the_golden_one(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.compose.yaml", render(CASES[name]))


def test_the_same_instance_gives_the_same_text() -> None:
    assert render(CASES["two-apps"]) == render(CASES["two-apps"])


@pytest.mark.parametrize("name", [name for name in CASES if name != "containers"])
def test_every_service_is_hardened(name: str) -> None:
    project = yaml.safe_load(render(CASES[name]))
    for service, settings in project["services"].items():
        where = f"{service} of {name}"
        assert settings["cap_drop"] == ["ALL"], where
        # It is noted on the file of its image's program.
        assert settings.get("cap_add", []) == (["NET_BIND_SERVICE"] if service == "proxy" else []), where
        assert settings["read_only"] is True, where
        assert settings["security_opt"] == ["no-new-privileges:true"], where
        assert settings["user"].split(":")[0] != "0", where
        assert {"mem_limit", "cpus", "pids_limit", "restart", "stop_grace_period"} <= settings.keys(), where
        assert "container_name" not in settings, where
        assert all(port.startswith("127.0.0.1:") for port in settings.get("ports", [])), where
        ways_out = [name for name in settings["networks"] if not project["networks"][name].get("internal")]
        assert ways_out == ([service] if "ports" in settings else []), where


def test_beside_the_services_docker_checks_no_health() -> None:
    services = yaml.safe_load(render(CASES["two-apps"], checked=False))["services"].values()
    assert [each["healthcheck"] for each in services] == [{"disable": True}] * len(services)


def test_a_container_is_relaxed_only_as_it_is_declared() -> None:
    services = yaml.safe_load(render(CASES["containers"]))["services"]
    assert {name for name, each in services.items() if not each["read_only"]} == {"files"}
    assert {name for name, each in services.items() if "user" not in each} == {"files"}
    assert services["files"]["cap_add"] == ["CHOWN", "SETUID"]
    assert all(each["cap_drop"] == ["ALL"] for each in services.values())


@pytest.mark.parametrize("name", CASES)
def test_no_secret_is_in_the_text(name: str) -> None:
    project = yaml.safe_load(render(CASES[name]))
    for secret in project.get("secrets", {}).values():
        assert set(secret) == {"file"}
    for settings in project["services"].values():
        passwords = {k: v for k, v in settings.get("environment", {}).items() if "PASSWORD" in k}
        assert all(value.startswith("/run/secrets/") for value in passwords.values())
