"""A Compose file of the shapes that projects have, and its stack file: field by field, with a list of what is lost."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stack.declaration import load_stack
from stack.engines.compose.files import variables_text
from stack.engines.compose.render import render
from stack.engines.docker.resolving import resolve
from stack.engines.variables import given_variables
from stack.instance import Instance, default_ports
from stack.settings import Settings
from stack.state import State
from stack.workflow.env_files import with_env_files
from tests.servers import MISSING

pytestmark = [pytest.mark.docker, pytest.mark.skipif(MISSING is not None, reason=str(MISSING))]

# An app for development: its source is mounted, its packages stay those of the image, its variables are in a file.
BOARD = """\
services:
  front_end:
    build: {context: front, dockerfile: dev.Dockerfile, target: dev, args: {NODE_VERSION: "24"}}
    command: npm run dev
    ports: ["5173:5173", "127.0.0.1:9229:9229"]
    volumes: ["./front:/app", "/app/node_modules"]
    environment: {API_URL: "http://api:4000", PRICE: "5$$"}
    tty: true
    stdin_open: true
    depends_on: [api]
  api:
    build: ./api
    entrypoint: ["/entry.sh", "serve"]
    env_file: api.env
    environment: ["LEVEL=debug"]
    user: "1000:1000"
    working_dir: /srv
    volumes: ["uploads:/srv/uploads", "./api/config.toml:/etc/api.toml:ro"]
    depends_on:
      store: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    extra_hosts: ["host.docker.internal:host-gateway"]
    labels: {com.example.team: board}
    stop_signal: SIGINT
    stop_grace_period: 1m
    restart: on-failure
  migrate:
    build: ./api
    entrypoint: []
    command: ["migrate", "--all"]
    environment: {STEP: all}
    depends_on: {store: {condition: service_healthy}}
  files:
    image: nginx:1.29
    hostname: files.example
    ports: ["8088:80"]
    volumes: ["uploads:/usr/share/nginx/html:ro"]
    tmpfs: [/var/cache/nginx]
    user: "1000:1000"
  store:
    image: postgres:18
    shm_size: 128m
    volumes: ["rows:/var/lib/postgresql"]
    environment: {POSTGRES_PASSWORD: example}
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U postgres"], interval: 5s, timeout: 3s, retries: 9}
    ulimits: {nofile: 40000}
    init: true
    cap_add: [CHOWN]
  admin:
    image: adminer:5
    profiles: [tools]
    ports: ["53:53/udp"]
  watcher:
    image: watcher:1
    privileged: true
    network_mode: host
    volumes: ["/var/run/docker.sock:/var/run/docker.sock"]
volumes: {uploads: {}, rows: {}}
"""
BOARD_STACK = """\
from stack import Container, Job, Stack, Volume, health

uploads, rows = Volume("uploads"), Volume("rows")
modules = Volume("modules", from_image=True, backup=False)
store = Container(
    "store",
    image="postgres:18",
    user="image",
    writable=True,
    shm=128,
    volumes={"/var/lib/postgresql": rows},
    environment={"POSTGRES_PASSWORD": "example"},
    health=health.command(["/bin/sh", "-c", "pg_isready -U postgres"], interval=5, timeout=3, retries=9),
    ulimits={"nofile": 40000},
    capabilities=["CHOWN"],
)
migrate = Job(
    "migrate", source="api", entrypoint=[], command=["migrate", "--all"], environment={"STEP": "all"},
    after=[store], before=["api"],
)
api = Container(
    "api",
    source="api",
    entrypoint=["/entry.sh", "serve"],
    env_files=["api.env"],
    environment={"LEVEL": "debug"},
    user="1000:1000",
    working_dir="/srv",
    volumes={"/srv/uploads": uploads},
    files={"api/config.toml": "/etc/api.toml"},
    after=[store],
    extra_hosts={"host.docker.internal": "host-gateway"},
    labels={"com.example.team": "board"},
    stop_signal="INT",
    stop_grace=60,
    restart="on-failure",
)
front = Container(
    "front-end",
    source="front",
    dockerfile="dev.Dockerfile",
    target="dev",
    args={"NODE_VERSION": "24"},
    command="npm run dev",
    ports={"http": 5173, "debugger": 9229},
    publish={"http": 5173, "debugger": 9229},
    public=["http"],
    mounts={"front": "/app"},
    writable_mounts=True,
    volumes={"/app/node_modules": modules},
    environment={"API_URL": "http://api:4000", "PRICE": "5$"},
    hostname="front_end",
    terminal=True,
    after=[api],
)
files = Container(
    "files",
    image="nginx:1.29",
    hostname="files.example",
    ports={"http": 80},
    publish={"http": 8088},
    public=True,
    user="1000:1000",
    volumes={"/usr/share/nginx/html": uploads.read_only},
    tmpfs=["/var/cache/nginx"],
)
admin = Container("admin", image="adminer:5", ports={"dns": "53/udp"}, publish={"dns": 53}, public=True)
watcher = Container("watcher", image="watcher:1")
stack = Stack("board", [front, api, migrate, files, store, admin, watcher], groups={"tools": [admin]})
"""
# Each with its reason. What is refused opens the machine to the container.
LOST = {
    "front_end.volumes./app/node_modules": "has a name here, and stays when the container is made anew",
    "api.volumes./etc/api.toml": "is a copy here, which is made anew when the file changes",
    "watcher.privileged": "refused",
    "watcher.network_mode": "refused",
    "watcher.volumes./var/run/docker.sock": "refused",
    "admin.profiles": "a group of the instance, which stays on until it is turned off",
}
# What the file of Compose calls otherwise here.
NAMES = {"front_end": "front-end"}
VARIABLES = "TOKEN=hunter2\nLEVEL=file\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {"compose.yaml": BOARD, "stackfile.py": BOARD_STACK, "api.env": VARIABLES}.items():
        (tmp_path / name).write_text(text)
    for name in ("front", "api"):
        (tmp_path / name).mkdir()
    (tmp_path / "front" / "dev.Dockerfile").write_text("FROM scratch AS dev\n")
    (tmp_path / "api" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "api" / "config.toml").write_text("")
    return tmp_path


def normalized(folder: Path, file: Path) -> dict[str, Any]:
    command = ["docker", "compose", "--project-directory", str(folder), "--profile", "*", "-f", str(file)]
    options = ["config", "--no-consistency", "--no-env-resolution", "--format", "json"]
    said = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=60).stdout
    services: dict[str, Any] = json.loads(said)["services"]
    return services


def rendered(folder: Path) -> dict[str, Any]:
    settings = Settings(folder / "stackfile.py", None, folder / "state")
    stack, problem = with_env_files(settings, load_stack(settings.file))
    assert problem is None
    state = folder / "state" / "board"
    instance = Instance("board", "board", stack, folder, state, default_ports(stack))
    text = render(instance)
    assert "hunter2" not in text
    (folder / "rendered.yaml").write_text(text)
    given = given_variables(instance, "container", partial(resolve, instance))["api"]
    assert given is not None
    State(state).write("compose/api.env", variables_text(given))
    return normalized(folder, folder / "rendered.yaml")


def parts(service: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield what a service says, field by field, in one form for both."""
    build = service.get("build") or {}
    # An image is made of a copy of its Dockerfile here.
    yield from ((f"build.{key}", build[key]) for key in ("context", "target", "args") if key in build)
    for key in ("image", "command", "entrypoint", "user", "working_dir", "hostname", "stop_signal", "shm_size", "tty"):
        yield key, service.get(key)
    yield from ((f"environment.{name}", value) for name, value in (service.get("environment") or {}).items())
    for port in service.get("ports") or []:
        yield f"ports.{port['target']}", [port["published"], port["protocol"], port.get("host_ip", "")]
    for mount in service.get("volumes") or []:
        kind, source = mount["type"], mount.get("source") or "without a name"
        yield f"volumes.{mount['target']}", [kind, source, mount.get("read_only", False)]
    for name, how in (service.get("depends_on") or {}).items():
        yield f"depends_on.{name}", how["condition"]
    check = service.get("healthcheck") or {}
    if test := check.get("test"):
        words = ["CMD", "/bin/sh", "-c", *test[1:]] if test[0] == "CMD-SHELL" else test
        yield "healthcheck", [words, check["interval"], check["timeout"], check["retries"]]
    hosts = [re.split("[=:]", each, maxsplit=1) for each in service.get("extra_hosts") or []]
    yield "extra_hosts", hosts
    ours = ("stackctl.", "com.docker.")
    yield from (
        (f"labels.{key}", value) for key, value in service.get("labels", {}).items() if not key.startswith(ours)
    )
    yield from ((f"ulimits.{key}", value) for key, value in service.get("ulimits", {}).items())
    yield from ((f"tmpfs.{place.partition(':')[0]}", True) for place in service.get("tmpfs") or [])
    yield from ((f"cap_add.{name}", True) for name in service.get("cap_add") or [])
    yield from ((key, service[key]) for key in ("privileged", "network_mode", "init", "stdin_open") if key in service)
    yield "stop_grace_period", service.get("stop_grace_period")
    yield "restart", service.get("restart")
    if profiles := service.get("profiles"):
        yield "profiles", profiles


def test_a_stack_file_says_what_a_compose_file_says_but_for_the_listed(project: Path) -> None:
    theirs, ours = normalized(project, project / "compose.yaml"), rendered(project)
    lost = []
    for name, service in theirs.items():
        said = dict(parts(ours[NAMES.get(name, name)]))
        for field, value in parts(service):
            if value not in (None, False, []) and said.get(field) != value:
                lost.append(f"{name}.{field}")
    assert sorted(lost) == sorted(LOST)
