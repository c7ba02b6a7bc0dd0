"""A stack of your own on both engines: an app with a volume, a worker beside it, a container, and a durable Redis."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.conformance.engines import on_docker_at_length
from tests.ports import outer_address, own_port
from tests.project import below, make_project

PUBLIC = "listens on every address of this machine"
STACK = """\
from stack import Container, Redis, Stack, Volume, WebApp, Worker, health

data, modules = Volume("data"), Volume("modules", from_image=True, backup=False)
queue = Redis("queue", durable=True)
web = WebApp(
    "web",
    source="app",
    publish=23871,
    health="/",
    uses=[queue],
    volumes={"media": "/srv/media"},
    command=["python3", "app.py"],
)
worker = Worker("worker", of=web, command=["python3", "worker.py"])
files = Container(
    "files",
    image="python:3.14-slim",
    command=["python3", "-m", "http.server", "9000", "--directory", "/data"],
    process=["sh", "-c", 'exec python3 -m http.server "$PORT" --bind "$BIND" --directory "$VOLUME_DATA"'],
    ports={"http": 9000},
    publish={"http": 23872},
    public=True,
    volumes={"/data": data},
    health=health.tcp(),
    files={"motd.txt": "/etc/motd.txt", "pages": "/srv/pages"},
    mounts={".": "/project"},
    ulimits={"nofile": 4321},
    labels={"com.example.team": "shop"},
    extra_hosts={"host.docker.internal": "host-gateway", "legacy": "10.1.2.3"},
    restart="on-failure",
)
api = Container(
    "api",
    source="app",
    command=["python3", "private.py"],
    process=["python3", "private.py"],
    mounts={"app": "/mounted"},
    writable_mounts=True,
    volumes={"/mounted/modules": modules, "/data": data.read_only},
    ports={"http": 9001},
    health=health.command(["python3", "-c", "print('well')"]),
)
stack = Stack("shop", [web, worker, files, api, queue])
"""
APP = {
    # The folder of the volume has another owner in the image, which must not be that of the volume.
    "Dockerfile": """\
FROM python:3.14-slim
RUN mkdir -p /srv/media /mounted/modules && echo one > /mounted/modules/package
WORKDIR /app
COPY . .
""",
    "app.py": """\
import http.server, json, os, pathlib
media = pathlib.Path(os.environ["VOLUME_MEDIA"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/":
            (media / self.path[1:]).write_text("todo")
        body = json.dumps({path.name: path.read_text() for path in media.iterdir()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["BIND"], int(os.environ["PORT"])), Handler).serve_forever()
""",
    "worker.py": """\
import os, pathlib, time
print("the worker works", flush=True)
while True:
    for path in pathlib.Path(os.environ["VOLUME_MEDIA"]).iterdir():
        if path.read_text() == "todo":
            path.write_text("done")
    time.sleep(0.1)
""",
    "private.py": """\
import http.server, os
address = (os.environ["BIND"], int(os.environ["PORT_HTTP"]))
http.server.HTTPServer(address, http.server.BaseHTTPRequestHandler).serve_forever()
""",
}


class Shop(Cli):
    """The command line for an instance of that stack."""

    def open(self) -> dict[str, object]:
        return self.data("up", "--port", f"web={self.port}", "--port", f"files={self.port + 1}")

    def put(self, name: str) -> None:
        assert self.get(f"/{name}")[0] == 200
        eventually(lambda: self.files.get(name) == "done")

    @property
    def files(self) -> dict[str, str]:
        status, answer = self.get()
        assert status == 200, answer
        return answer

    def in_files(self, script: str) -> str:
        return self.ok("exec", "files", "--", "sh", "-c", script).stdout.strip()

    def redis(self, *words: str) -> str:
        return self.ok("exec", "queue", "--", "redis-cli", *words).stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    pages = {"motd.txt": "one", "pages/hello": "#!/bin/sh\necho hello\n"}
    folder = make_project(
        tmp_path_factory, "shop", {"shop.py": STACK, **pages, **below("app", APP), "app/modules/.keep": ""}
    )
    (folder / "pages" / "hello").chmod(0o755)
    (folder / "app").chmod(0o777)  # the user of a container writes to it
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    try:
        cli.open()
        yield cli
    finally:
        cli.reset()


def test_all_of_it_is_up_and_stays_as_it_is(shop: Shop) -> None:
    assert shop.open()["changed"] is False
    components = shop.data("status")["components"]
    assert {name: each["state"] for name, each in components.items()} == dict.fromkeys(components, "running")
    assert {components[name]["health"] for name in ("web", "files", "api", "queue")} == {"healthy"}
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.port + 1}") as response:
        assert "Directory listing" in response.read().decode()
    assert "the worker works" in shop.ok("logs", "worker").stdout


def test_a_public_port_and_no_other_is_reached_at_another_address(shop: Shop) -> None:
    address = outer_address()
    with urllib.request.urlopen(f"http://{address}:{shop.port + 1}") as response:
        assert "Directory listing" in response.read().decode()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((address, shop.port), 5)
    components = shop.data("status")["components"]
    assert {name for name, each in components.items() if each["public"]} == {"files"}
    for said in (shop.ok("status"), shop.run("doctor")):
        assert f"files {PUBLIC}" in " ".join(said.stdout.split())


def test_a_worker_shares_the_volume_of_its_app(shop: Shop) -> None:
    shop.put("shared")
    assert "web:media" not in json.dumps(shop.data("plan")["actions"]), "nothing is changed"
    assert [each["effect"] for each in shop.data("plan")["data"]] == ["keep"] * 4


@on_docker_at_length
def test_files_and_keys_are_saved_restored_and_brought_back(shop: Shop) -> None:
    shop.put("first")
    shop.redis("RPUSH", "jobs", "1", "2")
    shop.ok("snapshot", "save", "one")
    saved = shop.files
    shop.put("second")
    shop.redis("DEL", "jobs")
    later = shop.files
    shop.ok("snapshot", "restore", "one", "--yes")
    assert shop.files == saved
    assert shop.redis("LRANGE", "jobs", "0", "-1").split() == ["1", "2"]
    shop.ok("undo", "--yes")
    assert shop.files == later
    assert shop.redis("EXISTS", "jobs") == "0\n"
    shop.put("third")


def test_keys_outlive_a_stop_and_a_new_container(shop: Shop) -> None:
    shop.redis("SET", "lasting", "yes")
    shop.ok("down")
    shop.open()
    assert shop.redis("GET", "lasting") == "yes\n"


@on_docker_at_length
def test_a_reset_instance_comes_back_though_its_image_is_gone(shop: Shop) -> None:
    shop.put("kept")
    before = shop.files
    shop.ok("reset", "--yes")
    assert shop.get()[0] == 0, "nothing answers any more"
    shop.ok("undo", "--yes")
    shop.open()
    assert shop.files == before
    shop.put("new")


def test_a_change_of_the_source_reaches_the_worker_too(shop: Shop) -> None:
    source = shop.folder / "app" / "worker.py"
    source.write_text(source.read_text().replace("the worker works", "the new worker works"))
    changed = {each["component"] for each in shop.data("plan")["actions"]}
    assert {"web", "worker", "api"} <= changed
    shop.open()
    eventually(lambda: "the new worker works" in shop.ok("logs", "worker").stdout)


def test_files_are_copied_and_a_change_of_one_is_planned_by_its_name(shop: Shop) -> None:
    place = "${FILE_MOTD_TXT:-/etc/motd.txt}"
    assert shop.in_files(f'cat "{place}"; "${{FILE_PAGES:-/srv/pages}}/hello"') == "one\nhello".replace("\n", "")
    assert "no" in shop.in_files(f'echo two > "{place}" 2> /dev/null || echo no')
    (shop.folder / "motd.txt").write_text("two")
    changed = {each["component"]: each for each in shop.data("plan")["actions"] if each["action"] != "keep"}
    file = "configs./etc/motd.txt" if shop.on_a_swarm else "content.motd.txt"
    assert [each["field"] for each in changed.pop("files")["differences"]] == [file]
    assert changed == {}
    shop.open()
    assert shop.in_files(f'cat "{place}"') == "two"
    motd = shop.folder / "motd.txt"
    motd.rename(motd.with_suffix(".away"))
    error = shop.fails("up", code="declaration-invalid", exit_code=2)
    assert error["message"].endswith(f"shop/files/files/motd.txt: {motd} does not exist")
    assert shop.ok("status"), "what only looks is not hindered"
    motd.with_suffix(".away").rename(motd)


def test_a_container_has_what_it_declares_and_the_plan_says_so(shop: Shop) -> None:
    if shop.engine != "compose":
        return
    assert shop.in_files("ulimit -n; cat /project/motd.txt; ls -A /project/.stackctl | wc -l") == "4321\ntwo0"
    assert "Read-only" in shop.in_files("touch /project/app/x 2>&1 || true")
    hosts = shop.in_files("cat /etc/hosts")
    assert "10.1.2.3\tlegacy" in hosts
    assert "host.docker.internal" in hosts
    motd = shop.folder / "motd.txt"
    motd.write_text("three")
    relaxed = [PUBLIC, "reaches this machine", "mounts . of the project, for development"]
    (planned,) = [each for each in shop.data("plan")["actions"] if each["component"] == "files"]
    assert planned["relaxations"] == relaxed
    assert "    ! mounts . of the project, for development, as declared" in shop.ok("plan").stdout
    assert f"files {', '.join(relaxed)}, as declared" in shop.run("doctor").stdout.replace("\n", " ")
    motd.write_text("two")


def test_a_volume_inside_a_mount_begins_with_what_the_image_has(shop: Shop) -> None:
    if shop.engine != "compose":
        return
    in_api = "ls /mounted/app.py; cat /mounted/modules/package; touch /data/x 2>&1 || true"
    said = shop.ok("exec", "api", "--", "sh", "-c", in_api).stdout.split("\n")
    assert said[:2] == ["/mounted/app.py", "one"]
    assert "Read-only file system" in said[2]
    made = "touch /mounted/__pycache__"
    shop.ok("exec", "api", "--", "sh", "-c", made)
    assert (shop.folder / "app" / "__pycache__").exists()
    shop.in_files("echo written > /data/text")
    assert shop.ok("exec", "api", "--", "cat", "/data/text").stdout == "written\n"


def test_what_ends_and_is_not_started_again_is_no_success(engine: str, tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(
        "from stack import Container, Stack\n"
        'once = Container("once", image="python:3.14-slim", command=["true"], process=["true"], restart="no")\n'
        'stack = Stack("once", [once])\n'
    )
    cli = Cli(tmp_path, file=tmp_path / "once.py", engine=engine)
    try:
        error = cli.fails("up", code="component-exited")
        assert re.fullmatch(r"once ended \(exit code 0(, on the node \w+)?\)", error["message"])
        assert "declare what ends when its work is done as a `Job`" in error["hint"]
        state = cli.data("status")["components"]["once"]
        assert (state["state"], state["restarts"]) == ("exited", 0)
    finally:
        cli.reset()
